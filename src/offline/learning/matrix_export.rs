//! The matrix for other tools: features as a NumPy file, labels, groups, times and folds as CSV. Called by `train --export-matrix`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::champion::TrainingPlan;
use super::folds;
use super::matrix::Matrix;
use crate::screening::features::{CATALOGUE, FEATURE_COUNT};

/// What is written to the folder.
pub const FILES: [&str; 3] = ["features.npy", "features.txt", "rows.csv"];

/// Writes `features.npy` (rows by features, little-endian f64, absent as -1), `features.txt` (names) and `rows.csv`.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, matrix: &Matrix, plan: &TrainingPlan) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut names = BufWriter::new(File::create(folder.join("features.txt"))?);
    for feature in CATALOGUE.iter() {
        writeln!(names, "{}", feature.name)?;
    }
    names.flush()?;
    let mut features = BufWriter::new(File::create(folder.join("features.npy"))?);
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, {FEATURE_COUNT}), }}", matrix.len());
    // The data begin at a multiple of 64; ten bytes stand before the header.
    let padded = (header.len() + 11).div_ceil(64) * 64 - 11;
    header.push_str(&" ".repeat(padded - header.len()));
    header.push('\n');
    features.write_all(b"\x93NUMPY\x01\x00")?;
    features.write_all(&u16::try_from(header.len()).unwrap_or(u16::MAX).to_le_bytes())?;
    features.write_all(header.as_bytes())?;
    for row in 0..matrix.len() {
        for feature in 0..FEATURE_COUNT {
            features.write_all(&matrix.value(row, feature).to_le_bytes())?;
        }
    }
    features.flush()?;
    rows(folder, matrix, plan)
}

/// One line a row: label, group, time, the grouped fold in development (-1 for the hold-out), the rules' score, programme and persona.
fn rows(folder: &Path, matrix: &Matrix, plan: &TrainingPlan) -> std::io::Result<()> {
    let split = folds::hold_out(matrix, plan.hold_out_share, plan.seed);
    let mut fold_of = vec![-1_i32; matrix.len()];
    for (number, fold) in (0..).zip(folds::grouped(matrix, &split.fit, plan.folds, plan.seed)) {
        fold.test.iter().for_each(|row| fold_of[*row] = number);
    }
    let mut out = BufWriter::new(File::create(folder.join("rows.csv"))?);
    writeln!(out, "abusive,group,occurred_at_millis,fold,rule_score,programme,persona")?;
    for (row, fold) in fold_of.iter().enumerate() {
        let abusive = u8::from(matrix.abusive()[row]);
        let (group, time) = (matrix.groups()[row], matrix.occurred_at()[row].as_millis());
        let (rule_score, programme) = (matrix.rule_scores()[row], matrix.programme(row));
        let persona = &matrix.persona_names()[matrix.personas()[row] as usize];
        writeln!(out, "{abusive},{group},{time},{fold},{rule_score},{programme},{persona}")?;
    }
    out.flush()
}
