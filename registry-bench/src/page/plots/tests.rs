//! The contents of drawings.

use super::*;
use crate::spread::Spread;

fn spread(median: f64) -> Spread {
    Spread { median, min: median * 0.9, max: median * 1.2 }
}

#[test]
fn dots_have_a_row_each_and_a_bound() {
    let dot = |name: &str, median| Dot { name: name.to_owned(), colour: colour(name), spread: spread(median) };
    let dots = Dots {
        caption: html! { "a <caption>" },
        label: "dots".to_owned(),
        format_tick: |figure| format!("{figure:.1}"),
        bound: Some(1.15),
        dots: vec![dot("papaya & co", 1.1), dot("dashmap", 1.4)],
    };
    let svg = dots.draw().into_string();
    for part in ["a &lt;caption&gt;", "papaya &amp; co", "dashmap", "<circle", "#D0342C", "viewBox", "role=\"img\""] {
        assert!(svg.contains(part), "no {part} in {svg}");
    }
    assert_eq!(svg.matches("<circle").count(), 2);
}

#[test]
fn a_chart_has_its_lines_and_their_names() {
    let series = |place: usize, name: &str| Series {
        name: name.to_owned(),
        colour: colour(name),
        mark: Mark::at(place),
        points: vec![(1e3, spread(20.0)), (1e6, spread(200.0))],
    };
    let chart = Chart {
        caption: html! { "curve" },
        label: "curve".to_owned(),
        x: Axis::logarithmic([1e3, 1e6], |tick| tick.to_string()),
        y: Axis::logarithmic([10.0, 300.0], |tick| tick.to_string()),
        series: ["registry", "bare", "limit", "other"]
            .into_iter()
            .enumerate()
            .map(|(n, name)| series(n, name))
            .collect(),
    };
    let svg = chart.draw().into_string();
    assert!(
        ["registry", "bare", "limit", "●", "▲", "■", "✕", "1000", "<polyline"].iter().all(|part| svg.contains(part))
    );
    assert!(!svg.contains("could not be drawn"), "{svg}");
}

#[test]
fn invalid_figures_do_not_stop_the_page() {
    let broken = Spread { median: f64::NAN, min: f64::NAN, max: f64::INFINITY };
    let dots = Dots {
        caption: html! { "x" },
        label: "x".to_owned(),
        format_tick: |figure| figure.to_string(),
        bound: None,
        dots: vec![Dot { name: "broken".to_owned(), colour: colour("x"), spread: broken }],
    };
    assert!(dots.draw().into_string().contains("broken"));
}

#[test]
fn overlapping_labels_are_omitted() {
    let ticks = [(0, "left"), (50, "1000"), (60, "2000"), (150, "5000"), (250, "x"), (370, "right")];
    let written = without_overlaps(ticks.into_iter().map(|(x, tick_label)| (x, tick_label.to_owned())));
    assert_eq!(written.iter().map(|(x, _)| *x).collect::<Vec<_>>(), [50, 150, 250]);
}
