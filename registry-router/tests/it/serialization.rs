//! Serialization with `serde`.

mod random_values;
mod round_trip;
mod snapshots;
