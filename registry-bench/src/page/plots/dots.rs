//! Dot plots: a dot for each median, a whisker for its range, and a line for the bound.

use maud::Markup;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Axis, BOUND, GRID, INK, LINE_HEIGHT, WIDTH, figure, letters, without_overlaps};
use crate::spread::Spread;

/// Dots below each other.
pub(in crate::page) struct Dots {
    /// The caption.
    pub(in crate::page) caption: Markup,
    /// The text for screen readers.
    pub(in crate::page) label: String,
    /// Formats the labels of ticks.
    pub(in crate::page) format_tick: fn(f64) -> String,
    /// The bound, drawn as a line.
    pub(in crate::page) bound: Option<f64>,
    pub(in crate::page) dots: Vec<Dot>,
}

/// A figure with its range.
pub(in crate::page) struct Dot {
    pub(in crate::page) name: String,
    pub(in crate::page) colour: RGBColor,
    pub(in crate::page) spread: Spread,
}

/// The height of a row, and the width of the names.
const ROW: i32 = 30;
const NAMES: i32 = 178;
const RIGHT: i32 = 14;

/// The plot ends at this multiple of the greatest median, so that one outlier does not compress the rest.
const MOST: f64 = 1.5;

impl Dots {
    /// Renders the plot.
    pub(in crate::page) fn draw(&self) -> Markup {
        let rows = self.dots.len() as i32;
        let height = rows * ROW + 2 * LINE_HEIGHT as i32;
        figure(&self.caption, &self.label, height.unsigned_abs(), |area| {
            let axis = self.axis();
            let wide = f64::from(WIDTH as i32 - NAMES - RIGHT);
            let pixel = |place: f64| NAMES + ((place - axis.from) / (axis.to - axis.from) * wide) as i32;
            let centred = letters(INK).pos(Pos::new(HPos::Center, VPos::Top));
            for (place, _) in &axis.ticks {
                let x = pixel(*place);
                area.draw(&PathElement::new([(x, 0), (x, rows * ROW)], GRID.stroke_width(1)))?;
            }
            let written = axis.ticks.iter().map(|(place, tick_label)| (pixel(*place), tick_label.clone()));
            for (x, tick_label) in without_overlaps(written) {
                area.draw(&Text::new(tick_label, (x, rows * ROW + 4), centred.clone()))?;
            }
            if let Some(bound) = self.bound {
                let x = pixel(axis.at(bound));
                area.draw(&PathElement::new([(x, 0), (x, rows * ROW)], BOUND.stroke_width(2)))?;
            }
            let name = letters(INK).pos(Pos::new(HPos::Left, VPos::Center));
            for (row, dot) in self.dots.iter().enumerate() {
                let y = row as i32 * ROW + ROW / 2;
                area.draw(&Text::new(dot.name.clone(), (0, y), name.clone()))?;
                let [min, median, max] =
                    [dot.spread.min, dot.spread.median, dot.spread.max].map(|figure| pixel(axis.at(figure)));
                area.draw(&PathElement::new([(min, y), (max, y)], dot.colour.stroke_width(2)))?;
                area.draw(&Circle::new((median, y), 5, dot.colour.filled()))?;
            }
            Ok(())
        })
    }

    fn axis(&self) -> Axis {
        let medians = self.dots.iter().map(|dot| dot.spread.median);
        let most = medians.chain(self.bound).fold(0.0, f64::max) * MOST;
        let ends = self.dots.iter().flat_map(|dot| [dot.spread.min, dot.spread.max.min(most)]);
        Axis::logarithmic(ends.chain(self.bound), self.format_tick)
    }
}
