//! Properties of the lookup.
