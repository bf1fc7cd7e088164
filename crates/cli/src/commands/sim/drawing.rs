//! Draws line plots as SVG or PNG, for light backgrounds.
//!
//! The legend is beside the plot and never covers it. Colours are those of Okabe and Ito, which are
//! distinguishable with any colour vision; each line also has its own marker.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use voiddht_sim::scenario::{Axis, Plot};

/// Width and height of the whole, in pixels.
const SIZE: (u32, u32) = (880, 480);
/// Width of the legend.
const LEGEND_WIDTH: u32 = 230;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(38, 38, 38);
const FAINT: RGBColor = RGBColor(224, 224, 224);
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];
/// Points of a line above which it has no markers.
const MAX_MARKERS: usize = 16;
/// Marks on an axis, about.
const MARKS: f64 = 6.0;

/// One line of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    pub(super) label: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) dashed: bool,
}

type Drawn = Result<(), Box<dyn Error>>;

/// Draws a picture into a file, in the format that its ending names.
pub(super) fn draw(plot: &Plot, curves: &[Curve], file: &Path) -> Drawn {
    static FONT_REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = FONT_REGISTERED
        .get_or_init(|| register_font(FONT, FontStyle::Normal, dejavu::sans::regular()).is_ok());
    if !registered {
        return Err("the font that comes with the program cannot be read".into());
    }
    let is_png = file.extension().is_some_and(|ending| ending == "png");
    if is_png {
        let root = BitMapBackend::new(file, SIZE).into_drawing_area();
        compose(plot, curves, &root)?;
        root.present()?;
    } else {
        let root = SVGBackend::new(file, SIZE).into_drawing_area();
        compose(plot, curves, &root)?;
        root.present()?;
    }
    Ok(())
}

fn compose<B: DrawingBackend>(plot: &Plot, curves: &[Curve], root: &DrawingArea<B, Shift>) -> Drawn
where
    B::ErrorType: 'static,
{
    root.fill(&WHITE)?;
    let root = root.margin(8, 0, 0, 0).titled(&plot.title, (FONT, 19).into_font().color(&INK))?;
    let (left, right) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    let across = Scale::of(&plot.x, curves.iter().flat_map(|curve| &curve.points).map(|it| it.0));
    let up = Scale::of(&plot.y, curves.iter().flat_map(|curve| &curve.points).map(|it| it.1));
    let mut chart = ChartBuilder::on(&left)
        .margin(12)
        .x_label_area_size(46)
        .y_label_area_size(66)
        .build_cartesian_2d(across.clone(), up.clone())?;
    chart
        .configure_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .x_desc(&plot.x.label)
        .y_desc(&plot.y.label)
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .label_style((FONT, 13).into_font().color(&INK))
        .x_labels(across.marks.len())
        .y_labels(up.marks.len())
        .x_label_formatter(&|place| across.text(*place))
        .y_label_formatter(&|place| up.text(*place))
        .draw()?;
    for (number, curve) in curves.iter().enumerate() {
        let style = COLOURS[number % COLOURS.len()].stroke_width(2);
        let places =
            curve.points.iter().filter_map(|(x, y)| Some((across.place(*x)?, up.place(*y)?)));
        let places: Vec<(f64, f64)> = places.collect();
        if curve.dashed {
            chart.draw_series(DashedLineSeries::new(places.iter().copied(), 6, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(places.iter().copied(), style))?;
        }
        if places.len() <= MAX_MARKERS && !curve.dashed {
            let markers = places
                .into_iter()
                .map(|place| EmptyElement::at(place) + marker::<B>(number, style.filled()));
            chart.draw_series(markers)?;
        }
    }
    legend(curves, &right)
}

/// One of four shapes around a point.
fn marker<B: DrawingBackend>(
    number: usize,
    style: ShapeStyle,
) -> DynElement<'static, B, (i32, i32)> {
    match number % 4 {
        0 => Circle::new((0, 0), 4, style).into_dyn(),
        1 => Rectangle::new([(-4, -4), (4, 4)], style).into_dyn(),
        2 => TriangleMarker::new((0, 0), 5, style).into_dyn(),
        _ => Polygon::new(vec![(0, -5), (5, 0), (0, 5), (-5, 0)], style).into_dyn(),
    }
}

fn legend<B: DrawingBackend>(curves: &[Curve], area: &DrawingArea<B, Shift>) -> Drawn
where
    B::ErrorType: 'static,
{
    let text = (FONT, 13).into_font().color(&INK);
    let mut top = 24;
    for (number, curve) in curves.iter().enumerate() {
        let style = COLOURS[number % COLOURS.len()].stroke_width(2);
        let middle = top + 8;
        if curve.dashed {
            for start in [0, 9, 18] {
                area.draw(&PathElement::new([(4 + start, middle), (10 + start, middle)], style))?;
            }
        } else {
            area.draw(&PathElement::new([(4, middle), (28, middle)], style))?;
            if curve.points.len() <= MAX_MARKERS {
                area.draw(&(EmptyElement::at((16, middle)) + marker::<B>(number, style.filled())))?;
            }
        }
        for line in wrapped(&curve.label, 26) {
            area.draw(&Text::new(line, (36, top + 1), text.clone()))?;
            top += 17;
        }
        top += 6;
    }
    Ok(())
}

/// Breaks a text into lines of at most so many characters, between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Where values lie on an axis: by themselves, or by their logarithms.
#[derive(Clone, Debug, PartialEq)]
struct Scale {
    log: bool,
    percent: bool,
    from: f64,
    to: f64,
    /// In places, not values.
    marks: Vec<f64>,
}

impl Scale {
    fn of(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let log = axis.log;
        let place = |value: f64| if log { value.log10() } else { value };
        let shown = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (least, most) = shown
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
                (least.min(place(value)), most.max(place(value)))
            });
        let (least, most) = if least <= most { (least, most) } else { (0.0, 1.0) };
        let step = if log { 1.0 } else { step(most - least) };
        let outer = |value: Option<f64>, usual: f64| value.map_or(usual, place);
        let from = outer(axis.from, (least / step).floor() * step);
        let mut to = outer(axis.to, (most / step).ceil() * step);
        if to <= from {
            to = from + step;
        }
        let step = if log { 1.0 } else { self::step(to - from) };
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        let marks = (first..=last).map(|number| number as f64 * step).collect();
        Self { log, percent: axis.percent, from, to, marks }
    }

    /// Where a value lies; `None` if it cannot be shown.
    fn place(&self, value: f64) -> Option<f64> {
        let place = if self.log { value.log10() } else { value };
        let margin = (self.to - self.from) * 1e-9;
        let shown = place.is_finite() && (self.from - margin..=self.to + margin).contains(&place);
        shown.then_some(place)
    }

    fn text(&self, place: f64) -> String {
        let value = if self.log { 10f64.powf(place) } else { place };
        let (value, unit) = if self.percent { (value * 100.0, " %") } else { (value, "") };
        let rounded = (value * 1e6).round() / 1e6;
        format!("{}{unit}", grouped(rounded))
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (place - self.from) / (self.to - self.from);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _hint: H) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

/// Groups of three digits, with a narrow gap, where there are more than four.
fn grouped(number: f64) -> String {
    let text = format!("{number}");
    if number.fract() != 0.0 || number.abs() < 10_000.0 {
        return text;
    }
    let mut grouped = String::new();
    for (place, digit) in text.chars().enumerate() {
        if place > 0 && (text.len() - place).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A round distance between marks.
fn step(length: f64) -> f64 {
    if length <= 0.0 {
        return 1.0;
    }
    let rough = length / MARKS;
    let decade = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= rough * 0.999);
    factor.unwrap_or(10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(log: bool, from: Option<f64>, to: Option<f64>) -> Axis {
        Axis { label: String::new(), log, percent: false, from, to }
    }

    #[test]
    fn marks_are_round_and_cover_the_values() {
        let scale = Scale::of(&axis(false, Some(0.0), None), [3.0, 19.2].into_iter());
        assert_eq!((scale.from, scale.to), (0.0, 20.0));
        assert_eq!(scale.marks, [0.0, 5.0, 10.0, 15.0, 20.0]);
        let scale = Scale::of(&axis(true, None, None), [100.0, 100_000.0].into_iter());
        assert_eq!(scale.marks, [2.0, 3.0, 4.0, 5.0]);
        let texts: Vec<_> = scale.marks.iter().map(|mark| scale.text(*mark)).collect();
        assert_eq!(texts, ["100", "1000", "10 000", "100 000"]);
    }

    #[test]
    fn what_no_axis_can_show_is_left_out() {
        let scale = Scale::of(&axis(true, None, None), [0.0, f64::NAN, 10.0].into_iter());
        assert_eq!((scale.place(0.0), scale.place(10.0)), (None, Some(1.0)));
        let empty = Scale::of(&axis(false, None, None), std::iter::empty());
        assert!(empty.from < empty.to);
    }

    #[test]
    fn long_labels_are_broken_between_words() {
        assert_eq!(
            wrapped("as S/Kademlia counts, d = 8", 12),
            ["as", "S/Kademlia", "counts, d =", "8"]
        );
    }
}
