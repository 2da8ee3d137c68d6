//! The report: the plots that people expect of a model, as one HTML file that needs no network. Called by `train` and `evaluate`.

use std::fmt::Write as _;

use super::card;
use super::evaluation::Evaluation;
use super::metrics::OperatingPoint;
use crate::screening::model::Thresholds;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 316.0;
const PAD: f64 = 42.0;

struct Line<'a> {
    name: &'a str,
    colour: &'a str,
    points: Vec<(f64, f64)>,
}

/// The whole page. `facts` is shown on top as it is, escaped; `thresholds` are drawn where they stand.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn html(title: &str, facts: &[String], thresholds: Thresholds, evaluation: &Evaluation) -> String {
    let mut page = String::from(HEAD);
    let _ = write!(page, "<title>{0}</title><h1>{0}</h1>", escape(title));
    for fact in facts {
        let _ = write!(page, "<p>{}</p>", escape(fact));
    }
    let mut figures = String::new();
    card::figures(&mut figures, evaluation);
    page.push_str(&table(&figures));
    let (model, rules) = (thinned(&evaluation.points), thinned(&evaluation.rule_points));
    let curves = |of: fn(&OperatingPoint) -> (f64, f64)| {
        vec![
            Line { name: "rules alone", colour: "#b0761f", points: rules.iter().map(of).collect() },
            Line { name: "model", colour: "#1f5fb0", points: model.iter().map(of).collect() },
        ]
    };
    page.push_str("<div class=plots>");
    page.push_str(&plot("Precision by recall", "recall", "precision", &curves(|point| (point.recall, point.precision))));
    page.push_str(&plot("ROC", "honest flagged", "abusive caught", &curves(|point| (point.false_positive_rate, point.recall))));
    let bins = evaluation.reliability.iter().map(|bin| (bin.predicted, bin.observed)).collect();
    let diagonal = Line { name: "as it should be", colour: "#999", points: vec![(0.0, 0.0), (1.0, 1.0)] };
    page.push_str(&plot(
        "Reliability",
        "predicted",
        "observed",
        &[diagonal, Line { name: "model", colour: "#1f5fb0", points: bins }],
    ));
    let rows = evaluation.rows.max(1) as f64;
    let by_threshold = [
        Line {
            name: "precision",
            colour: "#1f5fb0",
            points: model.iter().map(|point| (point.threshold, point.precision)).collect(),
        },
        Line { name: "recall", colour: "#2f8f4e", points: model.iter().map(|point| (point.threshold, point.recall)).collect() },
        Line {
            name: "share flagged",
            colour: "#b03a1f",
            points: model.iter().map(|point| (point.threshold, point.flagged as f64 / rows)).collect(),
        },
    ];
    let reject = thresholds.reject.map(|at| Line { name: "rejects", colour: "#000", points: vec![(at, 0.0), (at, 1.0)] });
    let review = Line { name: "reviews", colour: "#888", points: vec![(thresholds.review, 0.0), (thresholds.review, 1.0)] };
    let [precision, recall, load] = by_threshold;
    page.push_str(&plot("Precision and recall by threshold", "threshold", "share", &[precision, recall]));
    let lines: Vec<Line<'_>> = [load, review].into_iter().chain(reject).collect();
    page.push_str(&plot("Review load by threshold", "threshold", "share", &lines));
    page.push_str("</div>");
    page.push_str("<h2>What speaks loudest</h2><p>Mean size of each feature's contribution, in log-odds.</p>");
    page.push_str(&bars(&evaluation.contributions));
    page.push_str("<h2>Who gets which verdict</h2><p>By the model's thresholds alone and by the rules alone.</p>");
    let mut personas = String::new();
    card::personas(&mut personas, &evaluation.personas);
    page.push_str(&table(&personas));
    page
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><style>\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}td,th{border-bottom:1px solid #ddd;padding:.2rem .7rem;text-align:left}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:1rem}svg text{font:11px system-ui,sans-serif;fill:#444}</style>";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most 400 points of a curve, ends included.
fn thinned(points: &[OperatingPoint]) -> Vec<OperatingPoint> {
    let step = points.len().div_ceil(400).max(1);
    let mut some: Vec<OperatingPoint> = points.iter().copied().step_by(step).collect();
    some.extend(points.last().copied());
    some
}

/// A markdown table as HTML.
fn table(markdown: &str) -> String {
    let mut html = String::from("<table>");
    for (place, line) in markdown.lines().enumerate().filter(|(place, _)| *place != 1) {
        let tag = if place == 0 { "th" } else { "td" };
        html.push_str("<tr>");
        for cell in line.trim_matches('|').split('|') {
            let _ = write!(html, "<{tag}>{}</{tag}>", escape(cell.trim()));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table>");
    html
}

fn plot(title: &str, x_words: &str, y_words: &str, lines: &[Line<'_>]) -> String {
    let x = |value: f64| PAD + value.clamp(0.0, 1.0) * (WIDTH - PAD - 12.0);
    let y = |value: f64| HEIGHT - PAD - value.clamp(0.0, 1.0) * (HEIGHT - PAD - 46.0);
    let mut svg = format!(
        "<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{title}'><text x={PAD} y=16 font-weight=bold>{title}</text>"
    );
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let _ = write!(
            svg,
            "<path d='M{0} {1}H{2}M{3} {4}V{5}' stroke='#eee' fill=none /><text x={6} y={7} text-anchor=end>{tick}</text><text x={3} y={8} text-anchor=middle>{tick}</text>",
            x(0.0),
            y(tick),
            x(1.0),
            x(tick),
            y(0.0),
            y(1.0),
            x(0.0) - 5.0,
            y(tick) + 4.0,
            y(0.0) + 14.0
        );
    }
    let _ = write!(
        svg,
        "<text x={} y={} text-anchor=middle>{x_words}</text><text x=10 y={} transform='rotate(-90 10 {})' text-anchor=middle>{y_words}</text>",
        x(0.5),
        HEIGHT - 8.0,
        y(0.5),
        y(0.5)
    );
    for (place, Line { name, colour, points }) in lines.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
        let at = PAD + 110.0 * place as f64;
        let path: Vec<String> = points.iter().map(|(px, py)| format!("{:.1} {:.1}", x(*px), y(*py))).collect();
        let _ = write!(svg, "<path d='M{}' stroke='{colour}' stroke-width=1.8 fill=none />", path.join("L"));
        let _ = write!(svg, "<path d='M{at} 28h14' stroke='{colour}' stroke-width=3 /><text x={} y=32>{name}</text>", at + 19.0);
    }
    svg.push_str("</svg>");
    svg
}

fn bars(contributions: &[(String, f64)]) -> String {
    let largest = contributions.first().map_or(1.0, |(_, mean)| *mean);
    let mut svg = String::new();
    let shown = &contributions[..contributions.len().min(25)];
    #[expect(clippy::cast_precision_loss, reason = "at most 25 bars")]
    let height = shown.len() as f64 * 18.0;
    let _ = write!(svg, "<svg viewBox='0 0 700 {height}' role=img aria-label='contributions'>");
    for (place, (feature, mean)) in shown.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "at most 25 bars")]
        let top = place as f64 * 18.0;
        let width = 380.0 * mean / largest;
        let _ = write!(
            svg,
            "<text x=250 y={} text-anchor=end>{feature}</text><rect x=256 y={} width={width:.1} height=12 fill='#1f5fb0'/><text x={:.1} y={}>{mean:.3}</text>",
            top + 13.0,
            top + 3.0,
            262.0 + width,
            top + 13.0
        );
    }
    svg.push_str("</svg>");
    svg
}
