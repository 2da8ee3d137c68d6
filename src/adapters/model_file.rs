//! Model files: JSON with plain numbers, a format number and a checksum over the numbers.
//!
//! Numbers are written in the shortest form that reads back to the same bits, so a model scores the same after a round trip. Reading never
//! panics and never gives a model that differs from what was written: a damaged file, another format or another feature catalogue is refused
//! with a message that says what is wrong. Called by the model shelf, by `train` and by `evaluate`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::book::models::{ModelContent, ModelName};
use crate::screening::features::{Direction, schema_hash};
use crate::screening::model::{
    BinnedFeature, Calibrator, Certificate, Conjunction, FeatureSpec, Knot, Linear, LinearTerm, Model, ModelError, ModelParts,
    Scorecard, Scorer, Split, Thresholds, TrainingSpread, Trees,
};
use crate::screening::rules::Condition;
use crate::vocabulary::time::Timestamp;

/// The format that this code writes. It reads no other.
pub const FORMAT: u32 = 1;
/// Larger files are not model files.
pub const FILE_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Why a file is not a usable model.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// The file cannot be read or written.
    #[error("`{}` cannot be read or written: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is too large.
    #[error("the file has {bytes} bytes; a model file has at most {FILE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is not JSON of this shape.
    #[error("this is not a model file: {0}")]
    NotAModel(String),
    /// It was written by another version.
    #[error(
        "the file has format {found}, and this server reads format {FORMAT}; train the model again, or run the server that made it"
    )]
    OtherFormat {
        /// What the file says.
        found: u32,
    },
    /// The numbers are not those that were written.
    #[error("the checksum does not fit: the file says `{stated}`, its numbers give `{computed}`; it was edited or damaged")]
    Checksum {
        /// In the file.
        stated: String,
        /// Of the numbers.
        computed: String,
    },
    /// The numbers do not make a model here.
    #[error(transparent)]
    Model(#[from] ModelError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    selfsame_model: u32,
    checksum: String,
    model: PartsForm,
}

#[derive(Deserialize)]
struct FormatForm {
    selfsame_model: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartsForm {
    version: Box<str>,
    family: Box<str>,
    trained_until_millis: i64,
    feature_schema_hash: String,
    thresholds: ThresholdsForm,
    /// Conjunctions that reject, each a list of conditions as a policy writes them; not written when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conjunctions: Vec<Vec<String>>,
    certificate: CertificateForm,
    calibrator: CalibratorForm,
    scorer: ScorerForm,
    score_spread: SpreadForm,
    features: Vec<FeatureForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThresholdsForm {
    review: f64,
    reject: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateForm {
    alpha: f64,
    delta: f64,
    rejected_samples: u64,
    honest_samples: u64,
    rejected_referrals: u64,
    upper_bound: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureForm {
    name: Box<str>,
    unit: Box<str>,
    low: f64,
    /// Absent when there is no limit.
    high: Option<f64>,
    direction: DirectionForm,
    spread: SpreadForm,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum DirectionForm {
    Rises,
    Falls,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpreadForm {
    edges: Box<[f64]>,
    shares: Box<[f64]>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CalibratorForm {
    Identity,
    Platt {
        slope: f64,
        intercept: f64,
    },
    Beta {
        a: f64,
        b: f64,
        c: f64,
    },
    /// Pairs of margin and log-odds.
    Isotonic {
        knots: Vec<(f64, f64)>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ScorerForm {
    Linear {
        intercept: f64,
        terms: Vec<LinearTermForm>,
    },
    Scorecard {
        intercept: f64,
        features: Vec<BinnedForm>,
    },
    /// A node is threshold, feature (65535 for a leaf), and steps to the children for low, high and absent values.
    Trees {
        intercept: f64,
        roots: Box<[u32]>,
        nodes: Vec<(f64, u16, u16, u16, u16)>,
        values: Box<[f64]>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinearTermForm {
    feature: u16,
    centre: f64,
    spread: f64,
    weight: f64,
    absent: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BinnedForm {
    feature: u16,
    edges: Box<[f64]>,
    points: Box<[f64]>,
    absent: f64,
    centre: f64,
}

/// The bytes of a model file. The same model gives the same bytes.
///
/// # Errors
/// [`ModelFileError::NotAModel`] when a number cannot be written, which a valid model does not have.
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, ModelFileError> {
    let form = form_of(model.parts());
    let checksum = checksum(&form)?;
    let file = FileForm { selfsame_model: FORMAT, checksum, model: form };
    let mut bytes = serde_json::to_vec(&file).map_err(|error| ModelFileError::NotAModel(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A model's version, and the hash of all its numbers.
///
/// # Errors
/// As [`to_bytes`].
pub fn name_of(model: &Model) -> Result<ModelName, ModelFileError> {
    let mut content = [0; 16];
    hex::decode_to_slice(checksum(&form_of(model.parts()))?, &mut content)
        .map_err(|error| ModelFileError::NotAModel(error.to_string()))?;
    Ok(ModelName { version: model.version().into(), content: ModelContent(content) })
}

/// The model in these bytes.
///
/// # Errors
/// All variants but [`ModelFileError::Io`]; each says what is wrong with the file.
pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelFileError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ModelFileError::TooLarge { bytes: bytes.len() });
    }
    let not_a_model = |error: serde_json::Error| ModelFileError::NotAModel(error.to_string());
    let FormatForm { selfsame_model: found } = serde_json::from_slice(bytes).map_err(not_a_model)?;
    if found != FORMAT {
        return Err(ModelFileError::OtherFormat { found });
    }
    let FileForm { selfsame_model: _, checksum: stated, model: form } = serde_json::from_slice(bytes).map_err(not_a_model)?;
    let computed = checksum(&form)?;
    if stated != computed {
        return Err(ModelFileError::Checksum { stated, computed });
    }
    Ok(Model::from_parts(parts_of(form)?)?)
}

/// Reads a model file.
///
/// # Errors
/// [`ModelFileError`]: each variant says what is wrong with the file.
pub fn read(path: &Path) -> Result<Model, ModelFileError> {
    let bytes = std::fs::read(path).map_err(|source| ModelFileError::Io { path: path.to_owned(), source })?;
    from_bytes(&bytes)
}

/// Writes a model file, whole or not at all.
///
/// # Errors
/// [`ModelFileError::Io`] when the folder cannot be written.
pub fn write(path: &Path, model: &Model) -> Result<(), ModelFileError> {
    write_whole(path, &to_bytes(model)?).map_err(|source| ModelFileError::Io { path: path.to_owned(), source })
}

/// Writes beside the target, syncs, and renames: a reader sees the old file or the new one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;

    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn checksum(form: &PartsForm) -> Result<String, ModelFileError> {
    let bytes = serde_json::to_vec(form).map_err(|error| ModelFileError::NotAModel(error.to_string()))?;
    Ok(blake3::hash(&bytes).to_hex().chars().take(32).collect())
}

fn form_of(parts: &ModelParts) -> PartsForm {
    let ModelParts {
        version,
        family,
        trained_until,
        features,
        scorer,
        calibrator,
        thresholds: Thresholds { review, reject },
        conjunctions,
        certificate: Certificate { alpha, delta, rejected_samples, honest_samples, rejected_referrals, upper_bound },
        score_spread,
        feature_spreads,
    } = parts;
    PartsForm {
        version: version.clone(),
        family: family.clone(),
        trained_until_millis: trained_until.as_millis(),
        feature_schema_hash: schema_hash(),
        thresholds: ThresholdsForm { review: *review, reject: *reject },
        conjunctions: conjunctions.iter().map(conditions_form).collect(),
        certificate: CertificateForm {
            alpha: *alpha,
            delta: *delta,
            rejected_samples: *rejected_samples,
            honest_samples: *honest_samples,
            rejected_referrals: *rejected_referrals,
            upper_bound: *upper_bound,
        },
        calibrator: calibrator_form(calibrator),
        scorer: scorer_form(scorer),
        score_spread: spread_form(score_spread),
        features: features.iter().zip(feature_spreads).map(feature_form).collect(),
    }
}

fn conditions_form(conjunction: &Conjunction) -> Vec<String> {
    conjunction.conditions().map(|condition| condition.to_string()).collect()
}

fn conjunction_of(conditions: &[String]) -> Result<Conjunction, ModelFileError> {
    let refused = |error: String| ModelFileError::NotAModel(format!("a conjunction {error}"));
    let parsed: Result<Vec<Condition>, _> = conditions.iter().map(|text| Condition::parse(text)).collect();
    let parsed = parsed.map_err(|error| refused(format!("holds {error}")))?;
    Conjunction::new(&parsed).map_err(|error| refused(error.to_string()))
}

fn spread_form(spread: &TrainingSpread) -> SpreadForm {
    let TrainingSpread { edges, shares } = spread;
    SpreadForm { edges: edges.clone(), shares: shares.clone() }
}

fn feature_form((spec, spread): (&FeatureSpec, &TrainingSpread)) -> FeatureForm {
    let FeatureSpec { name, unit, low, high, direction } = spec;
    let direction = match direction {
        Direction::Rises => DirectionForm::Rises,
        Direction::Falls => DirectionForm::Falls,
    };
    FeatureForm {
        name: name.clone(),
        unit: unit.clone(),
        low: *low,
        high: high.is_finite().then_some(*high),
        direction,
        spread: spread_form(spread),
    }
}

fn calibrator_form(calibrator: &Calibrator) -> CalibratorForm {
    match calibrator {
        Calibrator::Identity => CalibratorForm::Identity,
        Calibrator::Platt { slope, intercept } => CalibratorForm::Platt { slope: *slope, intercept: *intercept },
        Calibrator::Beta { a, b, c } => CalibratorForm::Beta { a: *a, b: *b, c: *c },
        Calibrator::Isotonic { knots } => {
            CalibratorForm::Isotonic { knots: knots.iter().map(|knot| (knot.margin, knot.log_odds)).collect() }
        }
    }
}

fn scorer_form(scorer: &Scorer) -> ScorerForm {
    match scorer {
        Scorer::Linear(Linear { intercept, terms }) => {
            let term = |term: &LinearTerm| {
                let LinearTerm { feature, centre, spread, weight, absent } = *term;
                LinearTermForm { feature, centre, spread, weight, absent }
            };
            ScorerForm::Linear { intercept: *intercept, terms: terms.iter().map(term).collect() }
        }
        Scorer::Scorecard(Scorecard { intercept, features }) => {
            let binned = |binned: &BinnedFeature| {
                let BinnedFeature { feature, edges, points, absent, centre } = binned.clone();
                BinnedForm { feature, edges, points, absent, centre }
            };
            ScorerForm::Scorecard { intercept: *intercept, features: features.iter().map(binned).collect() }
        }
        Scorer::Trees(Trees { intercept, roots, nodes, values }) => {
            let node = |node: &Split| {
                let Split { threshold, feature, left, right, absent } = *node;
                (threshold, feature, left, right, absent)
            };
            ScorerForm::Trees {
                intercept: *intercept,
                roots: roots.clone(),
                nodes: nodes.iter().map(node).collect(),
                values: values.clone(),
            }
        }
    }
}

fn parts_of(form: PartsForm) -> Result<ModelParts, ModelFileError> {
    let PartsForm {
        version,
        family,
        trained_until_millis,
        feature_schema_hash: _,
        thresholds: ThresholdsForm { review, reject },
        conjunctions,
        certificate: CertificateForm { alpha, delta, rejected_samples, honest_samples, rejected_referrals, upper_bound },
        calibrator,
        scorer,
        score_spread,
        features,
    } = form;
    let trained_until = Timestamp::from_millis(trained_until_millis)
        .map_err(|error| ModelFileError::NotAModel(format!("`trained_until_millis` {error}")))?;
    let (features, feature_spreads) = features.into_iter().map(feature_parts).unzip();
    Ok(ModelParts {
        version,
        family,
        trained_until,
        features,
        scorer: scorer_parts(scorer),
        calibrator: calibrator_parts(calibrator),
        thresholds: Thresholds { review, reject },
        conjunctions: conjunctions.iter().map(|conditions| conjunction_of(conditions)).collect::<Result<_, _>>()?,
        certificate: Certificate { alpha, delta, rejected_samples, honest_samples, rejected_referrals, upper_bound },
        score_spread: spread_parts(score_spread),
        feature_spreads,
    })
}

fn spread_parts(form: SpreadForm) -> TrainingSpread {
    let SpreadForm { edges, shares } = form;
    TrainingSpread { edges, shares }
}

fn feature_parts(form: FeatureForm) -> (FeatureSpec, TrainingSpread) {
    let FeatureForm { name, unit, low, high, direction, spread } = form;
    let direction = match direction {
        DirectionForm::Rises => Direction::Rises,
        DirectionForm::Falls => Direction::Falls,
    };
    (FeatureSpec { name, unit, low, high: high.unwrap_or(f64::INFINITY), direction }, spread_parts(spread))
}

fn calibrator_parts(form: CalibratorForm) -> Calibrator {
    match form {
        CalibratorForm::Identity => Calibrator::Identity,
        CalibratorForm::Platt { slope, intercept } => Calibrator::Platt { slope, intercept },
        CalibratorForm::Beta { a, b, c } => Calibrator::Beta { a, b, c },
        CalibratorForm::Isotonic { knots } => {
            Calibrator::Isotonic { knots: knots.into_iter().map(|(margin, log_odds)| Knot { margin, log_odds }).collect() }
        }
    }
}

fn scorer_parts(form: ScorerForm) -> Scorer {
    match form {
        ScorerForm::Linear { intercept, terms } => {
            let term = |form: LinearTermForm| {
                let LinearTermForm { feature, centre, spread, weight, absent } = form;
                LinearTerm { feature, centre, spread, weight, absent }
            };
            Scorer::Linear(Linear { intercept, terms: terms.into_iter().map(term).collect() })
        }
        ScorerForm::Scorecard { intercept, features } => {
            let binned = |form: BinnedForm| {
                let BinnedForm { feature, edges, points, absent, centre } = form;
                BinnedFeature { feature, edges, points, absent, centre }
            };
            Scorer::Scorecard(Scorecard { intercept, features: features.into_iter().map(binned).collect() })
        }
        ScorerForm::Trees { intercept, roots, nodes, values } => {
            let node = |(threshold, feature, left, right, absent)| Split { threshold, feature, left, right, absent };
            Scorer::Trees(Trees { intercept, roots, nodes: nodes.into_iter().map(node).collect(), values })
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::screening::features::FEATURE_COUNT;

    /// A small model with awkward numbers.
    pub(crate) fn model(version: &str) -> Model {
        let spread = TrainingSpread { edges: Box::new([0.1 + 0.2]), shares: Box::new([0.0, 1.0 / 3.0, 2.0 / 3.0]) };
        let term = LinearTerm { feature: 7, centre: 0.1 + 0.7, spread: 1.0 / 3.0, weight: 5e-324, absent: -0.0 };
        Model::from_parts(ModelParts {
            version: version.into(),
            family: "logistic".into(),
            trained_until: Timestamp::from_millis(1_700_000_000_123).unwrap(),
            features: FeatureSpec::catalogue(),
            scorer: Scorer::Linear(Linear { intercept: -2.000_000_000_000_000_4, terms: Box::new([term]) }),
            calibrator: Calibrator::Isotonic {
                knots: Box::new([Knot { margin: -1.0, log_odds: -1.1 }, Knot { margin: 1.0, log_odds: 1.7 }]),
            },
            thresholds: Thresholds { review: 0.056, reject: Some(0.97) },
            conjunctions: vec![
                conjunction_of(&["identity.similar_name >= 9 bits".to_owned(), "device.same_device >= 6.7 bits".to_owned()])
                    .unwrap(),
                conjunction_of(&["ring.loop >= 0.5".to_owned()]).unwrap(),
            ],
            certificate: Certificate {
                alpha: 0.005,
                delta: 0.05,
                rejected_samples: 700,
                honest_samples: 0,
                rejected_referrals: 900,
                upper_bound: 0.0043,
            },
            score_spread: spread.clone(),
            feature_spreads: vec![spread; FEATURE_COUNT],
        })
        .unwrap()
    }

    #[test]
    fn a_model_reads_back_to_the_same_bits() {
        let written = to_bytes(&model("m-1")).unwrap();
        let read = from_bytes(&written).unwrap();
        assert_eq!(read, model("m-1"));
        assert_eq!(to_bytes(&read).unwrap(), written);
    }

    #[test]
    fn a_changed_number_is_noticed() {
        let text = String::from_utf8(to_bytes(&model("m-1")).unwrap()).unwrap().replace("0.97", "0.57");
        assert!(matches!(from_bytes(text.as_bytes()), Err(ModelFileError::Checksum { .. })));
    }

    #[test]
    fn every_refusal_says_what_is_wrong() {
        let text = String::from_utf8(to_bytes(&model("m-1")).unwrap()).unwrap();
        let later = text.replace("\"selfsame_model\":1", "\"selfsame_model\":2");
        assert!(from_bytes(later.as_bytes()).unwrap_err().to_string().contains("format 2"));
        assert!(from_bytes(b"{}").unwrap_err().to_string().contains("not a model file"));
        assert!(from_bytes(&text.as_bytes()[..100]).is_err());
    }
}
