//! The registry through its public names: every law over every backend, with 1 and with 64 shards.

#[macro_use]
mod support;

mod admission;
mod binding;
mod contract;
mod cost;
mod counts;
mod dead;
mod faults;
mod faulty;
mod health;
mod lookup;
mod mailboxes;
mod races;
mod register;
mod route;
mod send;
mod settings;
mod stats;
