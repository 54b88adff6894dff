//! The registry through its public names: every law over every backend, with 1 and with 64 shards.

#[macro_use]
mod support;

mod admission;
mod binding;
mod bound;
mod bulk;
mod contract;
mod cost;
mod counts;
mod dead;
#[cfg(feature = "serde")]
mod drawn;
mod endings;
#[cfg(feature = "tracing")]
mod events;
#[cfg(feature = "metrics")]
mod export;
mod faults;
mod faulty;
mod hands;
mod health;
mod incarnations;
mod large_messages;
#[cfg(feature = "flume")]
mod lean;
mod lets_go;
mod lookup;
mod mailboxes;
mod own_messages;
mod races;
mod rate;
mod reentrancy;
mod register;
mod renew;
mod route;
mod rules;
mod secrets;
mod send;
mod settings;
#[cfg(feature = "serde")]
mod snapshots;
mod stats;
#[cfg(feature = "serde")]
mod stored;
#[cfg(all(feature = "flume", feature = "sink", feature = "stream"))]
mod streams;
