//! Reading the tables.

mod lookup;
mod reentrancy;
