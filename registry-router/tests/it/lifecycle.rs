//! Registering, renewing and removing entries.

mod admission;
mod arrivals;
mod closed_mailboxes;
mod ended;
mod incarnations;
mod memory_release;
mod register;
mod removal_cost;
mod renew;
mod rules;
mod thread_exit;
