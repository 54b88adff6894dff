//! What single operations cost on one thread, over every backend: for finding out why, after the ratios have said that.
//!
//! These are times, not ratios, and compare only within one quiet run. `cargo xtask bench` compares side by side.

#![allow(missing_docs, reason = "criterion's macros make public items without documentation")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use registry_bench::fixture::{Counts, Fixture, Message, TRANSPORT_INBOX_CAPACITY};
use registry_core::Backend;
use registry_router::Registry;
use registry_router::backends::{Visitor, for_each};

const COUNTS: Counts = Counts { servers: 10_000, absent_ids: 1_000, claims: 0, transports: 100 };

fn operations(criterion: &mut Criterion) {
    let fixture = Fixture::new(COUNTS, 0x5eed);
    for_each(&mut Operations { criterion, fixture: &fixture });
}

struct Operations<'a> {
    criterion: &'a mut Criterion,
    fixture: &'a Fixture,
}

impl Visitor for Operations<'_> {
    fn visit<B: Backend>(&mut self) {
        let fixture = self.fixture;
        let registry = filled::<B>(fixture);
        lookups(self.criterion, fixture, &registry);
        messages(self.criterion, fixture, &registry);
        changes(self.criterion, fixture, &registry);
    }
}

/// All servers and transports registered, and the transports bound to the first server.
fn filled<B: Backend>(fixture: &Fixture) -> Registry<Message, B> {
    let registry = Registry::<Message, B>::builder().capacity(COUNTS.servers).build().expect("the settings are fine");
    for (n, id) in fixture.servers.iter().enumerate() {
        registry.register_server(id, fixture.mailbox(n).clone(), ()).expect("ids are unique").detach();
    }
    for id in &fixture.transports {
        registry.register_transport(id, fixture.transport_mailbox().clone(), ()).expect("ids are unique").detach();
        registry.bind_transport_to_server(id, &fixture.servers[0]).expect("both are registered");
    }
    registry
}

fn lookups<B: Backend>(criterion: &mut Criterion, fixture: &Fixture, registry: &Registry<Message, B>) {
    let mut group = criterion.benchmark_group("lookup");
    let mut ids = fixture.order.iter().cycle();
    group.bench_function(BenchmarkId::new("hit", B::NAME), |bencher| {
        bencher.iter(|| registry.with_server(ids.next().expect("it goes round"), |entry| entry.incarnation));
    });
    let mut ids = fixture.order.iter().cycle();
    group.bench_function(BenchmarkId::new("find", B::NAME), |bencher| {
        bencher.iter(|| registry.find_server(ids.next().expect("it goes round")));
    });
    let mut ids = fixture.absent_ids.iter().cycle();
    group.bench_function(BenchmarkId::new("miss", B::NAME), |bencher| {
        bencher.iter(|| registry.with_server(ids.next().expect("it goes round"), |entry| entry.incarnation));
    });
    let mut ids = fixture.transports.iter().cycle();
    group.bench_function(BenchmarkId::new("server_for_transport", B::NAME), |bencher| {
        bencher.iter(|| registry.server_for_transport(ids.next().expect("it goes round")));
    });
    group.finish();
}

fn messages<B: Backend>(criterion: &mut Criterion, fixture: &Fixture, registry: &Registry<Message, B>) {
    let mut group = criterion.benchmark_group("message");
    let mut ids = fixture.order.iter().cycle();
    group.bench_function(BenchmarkId::new("route", B::NAME), |bencher| {
        bencher.iter_custom(|iterations| {
            in_batches(fixture, iterations, 1_024, || {
                let id = ids.next().expect("it goes round");
                black_box(registry.route_to_server(id, &fixture.sender, 1).is_ok());
            })
        });
    });
    let batch = (TRANSPORT_INBOX_CAPACITY / fixture.transports.len()) as u64;
    group.bench_function(BenchmarkId::new("broadcast_100", B::NAME), |bencher| {
        bencher.iter_custom(|iterations| {
            in_batches(fixture, iterations, batch, || {
                let report = registry.broadcast(&fixture.servers[0], 1);
                assert_eq!(black_box(report.delivered), fixture.transports.len());
            })
        });
    });
    group.finish();
}

/// Times an operation that fills mailboxes, in batches that they have room for; emptying them is not timed.
fn in_batches(fixture: &Fixture, operations: u64, batch: u64, mut operation: impl FnMut()) -> Duration {
    let mut took = Duration::ZERO;
    let mut left = operations;
    while left > 0 {
        let now = left.min(batch);
        let began = Instant::now();
        for _ in 0..now {
            operation();
        }
        took += began.elapsed();
        fixture.drain_all();
        left -= now;
    }
    took
}

fn changes<B: Backend>(criterion: &mut Criterion, fixture: &Fixture, registry: &Registry<Message, B>) {
    let mut group = criterion.benchmark_group("change");
    let mut ids = fixture.absent_ids.iter().cycle();
    group.bench_function(BenchmarkId::new("register_and_drop", B::NAME), |bencher| {
        bencher.iter_batched(
            || fixture.mailbox(0).clone(),
            |mailbox| drop(registry.register_server(ids.next().expect("it goes round"), mailbox, ())),
            BatchSize::SmallInput,
        );
    });
    let mut pairs = fixture.transports.iter().zip(fixture.servers.iter().cycle()).cycle();
    group.bench_function(BenchmarkId::new("bind_and_unbind", B::NAME), |bencher| {
        bencher.iter(|| {
            let (transport, server) = pairs.next().expect("it goes round");
            registry.bind_transport_to_server(transport, server).is_ok() && registry.unbind_transport(transport)
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).without_plots();
    targets = operations
}
criterion_main!(benches);
