//! The ids of a run and the order in which they come: drawn once, from a seed, and the same for every peer.
//!
//! A peer that takes names in another form than ids gets them made beforehand, and one in another language reads them
//! from a file, so that no loop that is timed converts or draws anything.

use std::fmt::Write;

use registry_bench::timed_loop::{Keys, STRANGERS, Step};
use registry_bench::world::{Counts, World};

/// How often the hot id stands in its row, so that the end of the row costs next to nothing.
const HOT: usize = 64;

/// How many steps of the mixture each thread has, to be repeated.
const STEPS: usize = 1 << 16;

/// The most transports; one for every ten servers below that.
const MOST_TRANSPORTS: usize = 10_000;

/// What a run works on, with ids as a peer takes them: servers as `S`, transports as `T`.
#[derive(Clone, Debug, PartialEq)]
pub struct Names<S, T> {
    /// Servers that are registered from the beginning.
    pub servers: Vec<S>,
    /// The same in random order.
    pub order: Vec<S>,
    /// The first of the servers, over and over.
    pub hot: Vec<S>,
    /// Transports that are registered from the beginning.
    pub transports: Vec<T>,
    /// For each thread, ids that it alone registers for a moment.
    pub strangers: Vec<Vec<S>>,
    /// For each thread, the mixture.
    pub steps: Vec<Vec<Step<S, T>>>,
}

/// How much a run needs.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many servers are registered beforehand.
    pub entries: usize,
    /// How many threads work.
    pub threads: usize,
}

impl Size {
    /// The ids and mailboxes of a run.
    ///
    /// # Panics
    ///
    /// If there are to be no entries.
    #[must_use]
    pub fn world(self, seed: u64, most_inboxes: usize) -> World {
        let counts = Counts {
            servers: self.entries,
            strangers: self.threads * STRANGERS,
            claims: 0,
            transports: (self.entries / 10).clamp(1, MOST_TRANSPORTS),
        };
        World::with_inboxes(counts, seed, most_inboxes)
    }
}

impl<S, T> Names<S, T> {
    /// Returns the keys of the n-th thread.
    #[must_use]
    pub fn keys(&self, thread: usize) -> Keys<'_, S, T> {
        Keys { order: &self.order, hot: &self.hot, strangers: &self.strangers[thread], steps: &self.steps[thread] }
    }
}

impl Names<String, String> {
    /// The names of a world, as text.
    #[must_use]
    pub fn of(world: &World, threads: usize, seed: u64) -> Self {
        let texts = |ids: &[registry_router::ServerId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let servers = texts(&world.servers);
        let transports: Vec<String> = world.transports.iter().map(ToString::to_string).collect();
        let strangers: Vec<Vec<String>> = world.strangers.chunks(STRANGERS).map(texts).collect();
        let steps = (0..threads)
            .map(|thread| {
                let mut rng = fastrand::Rng::with_seed(seed ^ (thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                (0..STEPS).map(|_| step(&mut rng, &servers, &transports, &strangers[thread])).collect()
            })
            .collect();
        let hot = vec![servers[0].clone(); HOT];
        Self { order: texts(&world.order), hot, servers, transports, strangers, steps }
    }

    /// The same in another form.
    #[must_use]
    pub fn map<S, T>(&self, server: impl Fn(&str) -> S, transport: impl Fn(&str) -> T) -> Names<S, T> {
        let servers = |texts: &[String]| texts.iter().map(|text| server(text)).collect::<Vec<S>>();
        let step = |step: &Step<String, String>| match step {
            Step::Lookup(id) => Step::Lookup(server(id)),
            Step::Route(id) => Step::Route(server(id)),
            Step::Register(id) => Step::Register(server(id)),
            Step::Bind(id, to) => Step::Bind(transport(id), server(to)),
        };
        Names {
            servers: servers(&self.servers),
            order: servers(&self.order),
            hot: servers(&self.hot),
            transports: self.transports.iter().map(|text| transport(text)).collect(),
            strangers: self.strangers.iter().map(|ids| servers(ids)).collect(),
            steps: self.steps.iter().map(|steps| steps.iter().map(step).collect()).collect(),
        }
    }

    /// The same as lines of words, for programs in other languages: what it is, whose it is if it is a thread's, and
    /// the ids. Servers and transports come first.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        // Writing to a string cannot fail.
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = writeln!(lines, "{words}");
        };
        self.servers.iter().for_each(|id| line(format_args!("server {id}")));
        self.transports.iter().for_each(|id| line(format_args!("transport {id}")));
        self.order.iter().for_each(|id| line(format_args!("order {id}")));
        for (thread, ids) in self.strangers.iter().enumerate() {
            ids.iter().for_each(|id| line(format_args!("stranger {thread} {id}")));
        }
        for (thread, steps) in self.steps.iter().enumerate() {
            for step in steps {
                match step {
                    Step::Lookup(id) => line(format_args!("lookup {thread} {id}")),
                    Step::Route(id) => line(format_args!("route {thread} {id}")),
                    Step::Register(id) => line(format_args!("register {thread} {id}")),
                    Step::Bind(id, to) => line(format_args!("bind {thread} {id} {to}")),
                }
            }
        }
        lines
    }
}

fn step(
    rng: &mut fastrand::Rng,
    servers: &[String],
    transports: &[String],
    strangers: &[String],
) -> Step<String, String> {
    let mut any = |ids: &[String]| ids[rng.usize(..ids.len())].clone();
    let server = any(servers);
    let transport = any(transports);
    let stranger = any(strangers);
    match rng.u8(..100) {
        0..40 => Step::Lookup(server),
        40..70 => Step::Route(server),
        70..90 => Step::Register(stranger),
        _ => Step::Bind(transport, server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(seed: u64) -> Names<String, String> {
        let size = Size { entries: 50, threads: 2 };
        Names::of(&size.world(seed, 1), size.threads, seed)
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
        assert_eq!((names(1).strangers.len(), names(1).steps.len(), names(1).transports.len()), (2, 2, 5));
    }

    #[test]
    fn the_mixture_has_its_shares() {
        let names = names(7);
        assert_ne!(names.steps[0], names.steps[1]);
        for steps in &names.steps {
            let share = |wanted: fn(&Step<String, String>) -> bool| {
                100.0 * steps.iter().filter(|step| wanted(step)).count() as f64 / steps.len() as f64
            };
            let shares = [
                share(|step| matches!(step, Step::Lookup(_))),
                share(|step| matches!(step, Step::Route(_))),
                share(|step| matches!(step, Step::Register(_))),
                share(|step| matches!(step, Step::Bind(..))),
            ];
            for (share, wanted) in shares.into_iter().zip([40.0, 30.0, 20.0, 10.0]) {
                assert!((share - wanted).abs() < 1.0, "{shares:?}");
            }
        }
    }

    #[test]
    fn threads_do_not_share_what_they_register() {
        let names = names(3);
        assert!(names.strangers[0].iter().all(|id| !names.strangers[1].contains(id)));
        for (steps, own) in names.steps.iter().zip(&names.strangers) {
            assert!(steps.iter().all(|step| !matches!(step, Step::Register(id) if !own.contains(id))));
        }
    }

    #[test]
    fn a_file_has_all_of_it() {
        let names = names(1);
        let lines = names.lines();
        let count = |word: &str| lines.lines().filter(|line| line.split(' ').next() == Some(word)).count();
        assert_eq!((count("server"), count("order"), count("transport")), (50, 50, 5));
        assert_eq!(count("stranger"), 2 * STRANGERS);
        assert_eq!(count("lookup") + count("route") + count("register") + count("bind"), 2 * STEPS);
        assert!(lines.starts_with(&format!("server {}\n", names.servers[0])), "{}", &lines[..100]);
    }
}
