//! Curves: the cost of an operation or of an entry as entries, shards or tasks grow.

use maud::{Markup, html};

use super::absent;
use super::plots::{Axis, Chart, Mark, Series, colour};
use super::table::table;
use crate::record::{Document, Point};
use crate::tables::comparison::DEFAULT_BACKEND;
use crate::tables::curves::unit;
use crate::tables::{curves, distinct};
use crate::units;

pub(super) fn section(document: &Document) -> Markup {
    let points = &document.points;
    if points.is_empty() {
        return absent("Curves", "cargo xtask bench --scale");
    }
    html! {
        p {
            "Both axes are logarithmic: equal distances are equal factors. What matters is whether the registry's line "
            "runs "
            "beside the bare map's, and both beside the limit's, an immutable " code { "HashMap" } " that cannot "
            "be changed. All climb when the entries no longer fit the processor's caches."
        }
        @for along in distinct(points.iter().map(|point| point.along.as_str())) {
            @let here: Vec<&Point> = points.iter().filter(|point| point.along == along).collect();
            @let backends = distinct(here.iter().map(|point| point.backend.as_str()));
            @let (first, others): (Vec<&str>, Vec<&str>) =
                backends.iter().partition(|backend| **backend == DEFAULT_BACKEND || !backends.contains(&DEFAULT_BACKEND));
            h3 { "As " (along) " grow" }
            @for backend in first { (plots(along, backend, &here)) }
            @if !others.is_empty() {
                details {
                    summary { "The other backends" }
                    @for backend in others { (plots(along, backend, &here)) }
                }
            }
        }
        details {
            summary { "All medians as tables" }
            @for one in &curves::tables(document) { (table(one)) }
        }
    }
}

fn plots(along: &str, backend: &str, here: &[&Point]) -> Markup {
    html! {
        div.plots {
            @for name in distinct(here.iter().map(|point| point.figure.as_str())) {
                (plot(along, name, backend, here))
            }
        }
    }
}

/// Plots a line for each subject and number of threads; the limit is in the plot of every backend.
fn plot(along: &str, name: &str, backend: &str, here: &[&Point]) -> Markup {
    let mine = |point: &&&Point| point.figure == name && (point.backend == backend || point.subject == "limit");
    let mine: Vec<&&Point> = here.iter().filter(mine).collect();
    if mine.iter().all(|point| point.backend != backend) {
        return html! {};
    }
    let threads = distinct(mine.iter().map(|point| point.threads));
    let lines = distinct(mine.iter().map(|point| (point.subject.as_str(), point.threads)));
    let series = |(place, (subject, with)): (usize, &(&str, usize))| {
        let of_line = mine.iter().filter(|point| (point.subject.as_str(), point.threads) == (*subject, *with));
        let mut points: Vec<_> = of_line.map(|point| (point.at as f64, point.spread)).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let name =
            if threads.len() > 1 { format!("{subject}, {}", units::threads(*with)) } else { (*subject).to_owned() };
        Series { name, colour: colour(subject), mark: Mark::at(place), points }
    };
    let series: Vec<Series> = lines.iter().enumerate().map(series).collect();
    let ends = mine.iter().flat_map(|point| [point.spread.min, point.spread.max]);
    Chart {
        caption: html! { strong { (backend) ", " (name) } ": " (measure(name)) " (↑) at so many " (along) " (→)" },
        label: format!("{name} on {backend} as {along} grow: the registry, the bare map and the limit"),
        x: Axis::logarithmic(mine.iter().map(|point| point.at as f64), units::compact),
        y: Axis::logarithmic(ends, unit(name)),
        series,
    }
    .draw()
}

fn measure(figure: &str) -> &'static str {
    if figure == "memory" { "bytes per entry" } else { "time per operation" }
}
