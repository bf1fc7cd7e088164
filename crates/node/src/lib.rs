//! A voiddht node on tokio.
#![allow(dead_code)]

mod frame_reader;
mod link;
mod outbox;
