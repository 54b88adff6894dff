//! The program `top`: a registry under a load that the user controls, and a terminal view of its statistics.

pub mod controls;
pub mod format;
pub mod keys;
pub mod load;
mod panels;
mod shard_map;
pub mod signals;
mod slow_backend;
pub mod state;
pub mod view;
