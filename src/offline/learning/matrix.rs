//! The learning matrix: one row for each labelled conversion, with its features, truth, group, time and persona.
//!
//! Filled by replay (or by a test), read by everything else in `learning`. Rows stay in event-time order.

use ndarray::{Array2, ArrayView2, Axis};

use crate::screening::decision::Verdict;
use crate::screening::features::{FEATURE_COUNT, FeatureVector};
use crate::vocabulary::label::{LabelSource, Truth};
use crate::vocabulary::time::Timestamp;

/// One labelled conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its features, taken before it was observed.
    pub features: FeatureVector,
    /// The truth.
    pub truth: Truth,
    /// Who says so.
    pub source: LabelSource,
    /// When that became known.
    pub labeled_at: Timestamp,
    /// The programme that it is of.
    pub programme: Box<str>,
    /// Rows of one group are never split between fitting and testing.
    pub group: Box<str>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The kind of people behind it; empty when unknown. Never a feature.
    pub persona: Box<str>,
    /// What the rules alone scored. Range: [0, 1].
    pub rule_score: f64,
    /// What the rules alone decided.
    pub rule_verdict: Verdict,
}

/// From so many programmes on, programmes are what is never split. Judgement: with fewer, half of them hold too few.
const PROGRAMMES_TO_SPLIT_BY: usize = 10;

/// What is never split between fitting and testing.
#[derive(Debug, Clone, Copy)]
pub struct Units<'a> {
    /// Programmes or groups.
    pub kind: UnitKind,
    /// The unit of each row, by its number.
    pub numbers: &'a [u32],
    /// The name of each unit: what it is drawn by, so that no other line moves it.
    pub names: &'a [Box<str>],
}

/// Whether whole programmes stay together, or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// Whole programmes.
    Programme,
    /// Groups within programmes.
    Group,
}

impl Units<'_> {
    /// The unit of a row.
    #[must_use]
    pub fn of(&self, row: usize) -> u32 {
        self.numbers[row]
    }

    /// The name of a unit.
    #[must_use]
    pub fn name(&self, unit: u32) -> &str {
        &self.names[unit as usize]
    }
}

/// Rows in event-time order, with groups and personas numbered in order of first appearance.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    values: Vec<f64>,
    abusive: Vec<bool>,
    sources: Vec<LabelSource>,
    labeled_at: Vec<Timestamp>,
    occurred_at: Vec<Timestamp>,
    programmes: Numbered,
    groups: Numbered,
    personas: Numbered,
    rule_scores: Vec<f64>,
    rule_verdicts: Vec<Verdict>,
}

#[derive(Debug, Clone, Default)]
struct Numbered {
    numbers: Vec<u32>,
    names: Vec<Box<str>>,
    by_name: std::collections::BTreeMap<Box<str>, u32>,
}

impl Numbered {
    fn push(&mut self, name: Box<str>) {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let number = *self.by_name.entry(name.clone()).or_insert(next);
        if number == next {
            self.names.push(name);
        }
        self.numbers.push(number);
    }
}

impl FromIterator<Row> for Matrix {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut matrix = Self::default();
        rows.into_iter().for_each(|row| matrix.push(row));
        matrix
    }
}

impl Matrix {
    /// Adds a row at the end.
    pub fn push(&mut self, row: Row) {
        let Row { features, truth, source, labeled_at, programme, group, occurred_at, persona, rule_score, rule_verdict } = row;
        self.values.extend_from_slice(features.values());
        self.abusive.push(truth == Truth::Abusive);
        self.sources.push(source);
        self.labeled_at.push(labeled_at);
        self.occurred_at.push(occurred_at);
        self.programmes.push(programme);
        self.groups.push(group);
        self.personas.push(persona);
        self.rule_scores.push(rule_score);
        self.rule_verdicts.push(rule_verdict);
    }

    /// The same rows in other groups, one for each row: which lines belong together is known only when all were seen.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = Box<str>>) -> Self {
        self.groups = Numbered::default();
        groups.into_iter().for_each(|group| self.groups.push(group));
        self
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.abusive.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.abusive.is_empty()
    }

    /// The features of a row.
    #[must_use]
    pub fn features(&self, row: usize) -> FeatureVector {
        let mut values = [0.0; FEATURE_COUNT];
        values.copy_from_slice(&self.values[row * FEATURE_COUNT..(row + 1) * FEATURE_COUNT]);
        FeatureVector::from_values(values)
    }

    /// One number.
    #[must_use]
    pub fn value(&self, row: usize, feature: usize) -> f64 {
        self.values[row * FEATURE_COUNT + feature]
    }

    /// All features: rows by catalogue order.
    #[must_use]
    pub fn view(&self) -> ArrayView2<'_, f64> {
        let (rows, _) = self.values.as_chunks::<FEATURE_COUNT>();
        ArrayView2::from(rows)
    }

    /// The features of some rows.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Array2<f64> {
        self.view().select(Axis(0), rows)
    }

    /// Whether each row is abusive.
    #[must_use]
    pub fn abusive(&self) -> &[bool] {
        &self.abusive
    }

    /// Who labelled each row.
    #[must_use]
    pub fn sources(&self) -> &[LabelSource] {
        &self.sources
    }

    /// When each row's label became known.
    #[must_use]
    pub fn labeled_at(&self) -> &[Timestamp] {
        &self.labeled_at
    }

    /// When each row happened.
    #[must_use]
    pub fn occurred_at(&self) -> &[Timestamp] {
        &self.occurred_at
    }

    /// The number of each row's group.
    #[must_use]
    pub fn groups(&self) -> &[u32] {
        &self.groups.numbers
    }

    /// What is never split between fitting and testing: whole programmes where there are many, so that what is measured is what a programme can expect
    /// that nobody saw; else groups.
    #[must_use]
    pub fn units(&self) -> Units<'_> {
        let of_programmes = self.programmes.names.len() >= PROGRAMMES_TO_SPLIT_BY;
        let Numbered { numbers, names, by_name: _ } = if of_programmes { &self.programmes } else { &self.groups };
        Units { kind: if of_programmes { UnitKind::Programme } else { UnitKind::Group }, numbers, names }
    }

    /// The programme that a row is of.
    #[must_use]
    pub fn programme(&self, row: usize) -> &str {
        &self.programmes.names[self.programmes.numbers[row] as usize]
    }

    /// The number of each row's persona.
    #[must_use]
    pub fn personas(&self) -> &[u32] {
        &self.personas.numbers
    }

    /// The personas by number.
    #[must_use]
    pub fn persona_names(&self) -> &[Box<str>] {
        &self.personas.names
    }

    /// What the rules alone scored.
    #[must_use]
    pub fn rule_scores(&self) -> &[f64] {
        &self.rule_scores
    }

    /// What the rules alone decided.
    #[must_use]
    pub fn rule_verdicts(&self) -> &[Verdict] {
        &self.rule_verdicts
    }

    /// A fingerprint of features, labels, groups and times: 16 hexadecimal characters of BLAKE3.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for value in &self.values {
            hasher.update(&value.to_bits().to_le_bytes());
        }
        for row in 0..self.len() {
            hasher.update(&[u8::from(self.abusive[row])]);
            hasher.update(&self.groups.numbers[row].to_le_bytes());
            hasher.update(&self.occurred_at[row].as_millis().to_le_bytes());
        }
        hasher.finalize().to_hex().chars().take(16).collect()
    }
}

/// The truth of some rows.
#[must_use]
pub fn pick<T: Copy>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|row| all[*row]).collect()
}
