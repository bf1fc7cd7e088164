//! Nothing but a test: the pkarr crate, as it is published, against real nodes. `./check pkarr` runs it.
