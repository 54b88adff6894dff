//! Plots as SVG that stands in the page itself.
//!
//! They are drawn as narrow as a phone and scaled to the width there is, so that their text stays readable.
//! Two colours stand for what the page decides, ink and grid: its style gives them others on a dark screen.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::FontDesc;

pub(super) use self::axis::Axis;
pub(super) use self::chart::{Chart, Series};
pub(super) use self::dots::{Dot, Dots};

mod axis;
mod chart;
mod dots;

/// How wide a plot is drawn.
const WIDTH: u32 = 380;
/// How tall a line of its letters is; the letters themselves are some four fifths of that.
const LETTERS: u32 = 21;

const INK: RGBColor = RGBColor(0, 0, 0);
const GRID: RGBColor = RGBColor(221, 221, 221);
const BOUND: RGBColor = RGBColor(208, 52, 44);

/// The colour of a subject or a backend: one that can be seen on light and on dark ground.
pub(super) fn colour(name: &str) -> RGBColor {
    match name {
        "papaya" | "registry" => RGBColor(217, 98, 43),
        "dashmap" | "lookup" => RGBColor(58, 124, 214),
        "evmap" | "register" => RGBColor(44, 150, 100),
        "left-right" | "bind" | "bare" => RGBColor(146, 94, 200),
        "route" => RGBColor(190, 140, 20),
        _ => RGBColor(128, 134, 142),
    }
}

/// Names beside their colours, below a plot.
pub(super) fn legend<'a>(names: impl IntoIterator<Item = (&'a str, RGBColor, Mark)>) -> Markup {
    html! {
        p.legend {
            @for (name, RGBColor(r, g, b), mark) in names {
                span { i style=(format!("color:#{r:02x}{g:02x}{b:02x}")) { (mark.sign()) } " " (name) } " "
            }
        }
    }
}

/// What a point looks like, for those who do not see its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Circle,
    Triangle,
    Square,
    Cross,
}

impl Mark {
    /// One for each place in a list, beginning again at its end.
    pub(super) fn at(place: usize) -> Self {
        [Self::Circle, Self::Triangle, Self::Square, Self::Cross][place % 4]
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Circle => "●",
            Self::Triangle => "▲",
            Self::Square => "■",
            Self::Cross => "✕",
        }
    }
}

/// Draws, and puts the drawing into a figure with a caption. A drawing that fails is said to have failed.
fn figure<F>(caption: &Markup, label: &str, height: u32, draw: F) -> Markup
where
    F: FnOnce(&Area<'_>) -> Result<(), Box<dyn std::error::Error>>,
{
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area).and_then(|()| area.present().map_err(Into::into))
    };
    let drawing = match drawn {
        Ok(()) => html! { div role="img" aria-label=(label) { (PreEscaped(svg)) } },
        Err(error) => html! { p { "This plot could not be drawn: " (error) } },
    };
    html! { figure { figcaption { (caption) } (drawing) } }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn letters(colour: RGBColor) -> TextStyle<'static> {
    FontDesc::from(("sans-serif", LETTERS)).color(&colour)
}

/// Those of the ticks that can be written below an axis without touching each other: a place in pixels, and a text.
fn apart(ticks: impl Iterator<Item = (i32, String)>) -> Vec<(i32, String)> {
    let mut end = 0;
    let mut apart = Vec::new();
    for (x, said) in ticks {
        // A letter is about half as wide as a line is tall, and is given no less.
        let half = said.chars().count() as i32 * LETTERS as i32 / 4;
        if x - half >= end && x + half <= WIDTH as i32 {
            end = x + half;
            apart.push((x, said));
        }
    }
    apart
}

#[cfg(test)]
mod tests;
