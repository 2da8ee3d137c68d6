//! All parameter files together, and the programmes that one seed draws from them.

use toml::{Table, Value};

use super::chance::Chance;
use super::months::Months;
use super::parameter_file::{self, ParameterFileError};
use super::people::People;
use super::persona::{self, PersonaFile};
use super::programme::{DAY, ProgrammeKind};
use super::setting::Setting;
use crate::screening::similarity::closest;
use crate::vocabulary::time::{Span, Timestamp};

/// 2024-01-01T00:00:00Z: the first day of the first programme; the others begin within the next 300 days.
const BEGINS_AT_MILLIS: i64 = 1_704_067_200_000;
/// By how much the sizes of programmes differ: standard deviation of the logarithm. Judgement.
const SIZE_SIGMA: f64 = 0.6;

/// The personas, and the kinds of programmes that they play in.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    /// The personas, honest ones first.
    pub personas: Vec<PersonaFile>,
    /// The kinds, the ordinary one first.
    pub kinds: Vec<ProgrammeKind>,
}

/// What is wanted of a set of programmes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How many programmes. At least 1.
    pub programmes: u64,
    /// How many conversions they have together.
    pub conversions: u64,
    /// Of which kind all of them are; absent for each kind in turn.
    pub kind: Option<String>,
    /// Personas that do not play.
    pub held_out: Vec<String>,
    /// One seed, one set.
    pub seed: u64,
}

impl Wanted {
    /// One ordinary programme.
    #[must_use]
    pub fn ordinary(conversions: u64, seed: u64) -> Self {
        Self { programmes: 1, conversions, kind: Some("ordinary".to_owned()), held_out: Vec::new(), seed }
    }
}

/// Why no programme can be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// A parameter file is wrong.
    #[error(transparent)]
    File(#[from] ParameterFileError),
    /// There is no such persona or kind. Take one of those that there are.
    #[error("`{name}` is not a {what}; {hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Persona or kind of programme.
        what: &'static str,
        /// The nearest one, or all of them.
        hint: String,
    },
}

/// A programme that is about to begin.
#[derive(Debug)]
pub struct Drawn<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Its conversions.
    pub months: Months<'a>,
}

impl Library {
    /// The files that are built in.
    ///
    /// # Errors
    /// [`ParameterFileError`] when one was damaged before it was built in; restore it from the repository.
    pub fn embedded() -> Result<Self, ParameterFileError> {
        let personas = persona::embedded()?;
        let kinds = ProgrammeKind::embedded(&names(&personas))?;
        Ok(Self { personas, kinds })
    }

    /// The same with what a file of TOML says instead: `[persona.NAME…]` for a persona, everything else for every kind of programme.
    ///
    /// # Errors
    /// [`DrawError`] names the key or the persona that there is not, or the value that is wrong.
    pub fn changed(&self, file: &str, text: &str) -> Result<Self, DrawError> {
        let mut over: Table = text.parse().map_err(|error: toml::de::Error| ParameterFileError::Unreadable {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
        let mut personas = self.personas.clone();
        for (name, table) in over.remove("persona").as_ref().and_then(Value::as_table).into_iter().flatten() {
            let place = self.place_of(name)?;
            let Value::Table(table) = table else {
                let expected = "a table";
                return Err(
                    ParameterFileError::WrongValue { file: file.to_owned(), key: format!("persona.{name}"), expected }.into()
                );
            };
            personas[place] = personas[place].changed(file, table)?;
        }
        let names = names(&self.personas);
        let kinds = self.kinds.iter().map(|kind| kind.changed(file, &over, &names)).collect::<Result<_, _>>()?;
        Ok(Self { personas, kinds })
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// [`DrawError::Unknown`] with the nearest name.
    pub fn kind(&self, name: &str) -> Result<&ProgrammeKind, DrawError> {
        let unknown = || unknown("kind of programme", name, self.kinds.iter().map(|kind| kind.name));
        self.kinds.iter().find(|kind| kind.name == name).ok_or_else(unknown)
    }

    /// Draws the programmes of one seed. A programme is the same whatever the others are, but for its share of the conversions.
    ///
    /// # Errors
    /// [`DrawError`] when a persona or a kind does not exist.
    pub fn draw<'a>(&self, wanted: &Wanted, people: &'a People) -> Result<Vec<Drawn<'a>>, DrawError> {
        for name in &wanted.held_out {
            self.place_of(name)?;
        }
        let of_months: Vec<&ProgrammeKind> = match &wanted.kind {
            Some(name) => vec![self.kind(name)?],
            None => self.kinds.iter().filter(|kind| kind.name != DAY).collect(),
        };
        let sizes = sizes(wanted);
        let mut drawn = Vec::with_capacity(sizes.len());
        for (number, size) in (0..).zip(sizes) {
            let mut chance = Chance::of_subject(wanted.seed, number);
            let kind = of_months[usize::try_from(number).unwrap_or_default() % of_months.len()];
            let setting = Setting::draw(kind, &self.personas, &wanted.held_out, size, &mut chance)?;
            let mut of_life = Chance::of_subject(wanted.seed ^ LIFE, number);
            let days = if number == 0 { 0 } else { of_life.between(0, 300) };
            let begins_at = Timestamp::saturating_from_millis(BEGINS_AT_MILLIS).plus(Span::from_days(i64::from(days)));
            drawn.push(Drawn { kind: kind.name, months: Months::new(people, setting, size, begins_at, of_life.token()) });
        }
        Ok(drawn)
    }

    fn place_of(&self, persona: &str) -> Result<usize, DrawError> {
        let unknown = || unknown("persona", persona, self.personas.iter().map(|known| known.name));
        self.personas.iter().position(|known| known.name == persona).ok_or_else(unknown)
    }
}

/// Keeps the draws of a programme's life apart from those of its setting.
const LIFE: u64 = 0x11FE_0000;

fn names(personas: &[PersonaFile]) -> Vec<&'static str> {
    personas.iter().map(|persona| persona.name).collect()
}

fn unknown<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> DrawError {
    let all = || format!("there are `{}`", known.clone().collect::<Vec<_>>().join("`, `"));
    let hint = closest(name, known.clone()).map_or_else(all, |near| format!("did you mean `{near}`?"));
    DrawError::Unknown { name: name.to_owned(), what, hint }
}

/// How many conversions each programme has: log-normal, all of them together what is wanted.
#[expect(clippy::cast_precision_loss, reason = "counts of conversions are far below 2^53")]
fn sizes(wanted: &Wanted) -> Vec<u64> {
    let count = wanted.programmes.max(1);
    let mut chance = Chance::new(wanted.seed ^ LIFE.rotate_left(7));
    let weights: Vec<f64> = (0..count).map(|_| if count == 1 { 1.0 } else { chance.log_normal(1.0, SIZE_SIGMA) }).collect();
    let total: f64 = weights.iter().sum();
    let mut left = wanted.conversions;
    let mut sizes: Vec<u64> = Vec::with_capacity(weights.len());
    for weight in &weights {
        let size = super::chance::rounded(wanted.conversions as f64 * weight / total);
        let size = u64::try_from(size).unwrap_or_default().min(left);
        left -= size;
        sizes.push(size);
    }
    if let Some(last) = sizes.last_mut() {
        *last += left;
    }
    sizes
}

/// All parameters of a kind as TOML, as `selfsame simulate --print-config` shows them.
#[must_use]
pub fn shown(kind: &ProgrammeKind, personas: &[PersonaFile]) -> String {
    let all: Table = personas
        .iter()
        .map(|file| (file.name.to_owned(), Value::Table(parameter_file::merged(persona::template(), &file.table))))
        .collect();
    let personas = Table::from_iter([("persona".to_owned(), Value::Table(all))]);
    format!("{}\n{personas}", kind.to_toml())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(programmes: u64, conversions: u64) -> Wanted {
        Wanted { programmes, conversions, kind: None, held_out: Vec::new(), seed: 7 }
    }

    #[test]
    fn sizes_differ_and_sum_to_what_is_wanted() {
        let sizes = sizes(&wanted(200, 400_000));
        assert_eq!(sizes.iter().sum::<u64>(), 400_000);
        let (least, most) = (*sizes.iter().min().unwrap(), *sizes.iter().max().unwrap());
        assert!(most > 5 * least && least > 100, "{least} to {most}");
    }

    #[test]
    fn two_hundred_programmes_are_of_every_kind_but_the_day() {
        let (library, people) = (Library::embedded().unwrap(), People::embedded().unwrap());
        let drawn = library.draw(&wanted(200, 400), &people).unwrap();
        assert_eq!(drawn.len(), 200);
        let count = |name: &str| drawn.iter().filter(|programme| programme.kind == name).count();
        assert!(library.kinds.iter().all(|kind| (count(kind.name) >= 10) == (kind.name != DAY)));
    }

    #[test]
    fn what_a_file_says_of_a_persona_and_of_programmes_is_taken_and_slips_are_refused_by_name() {
        let library = Library::embedded().unwrap();
        let changed =
            library.changed("mine.toml", "abusive_share = 0.03\n[persona.household.with_referrer]\ndevice = 0.5\n").unwrap();
        assert_ne!(changed, library);
        let household = changed.personas.iter().find(|persona| persona.name == "household").unwrap();
        assert_eq!(household.settled(&mut Chance::new(1)).unwrap().with_referrer.device, 0.5);
        let refused = |text: &str| library.changed("mine.toml", text).unwrap_err().to_string();
        assert_eq!(refused("[persona.househld]\nweight = 1\n"), "`househld` is not a persona; did you mean `household`?");
        assert_eq!(refused("[missing]\nemial = 1\n"), "`missing.emial` in `mine.toml` is not a key here; did you mean `email`?");
        assert_eq!(refused("[missing]\nemail = 2\n"), "`missing.email` in `mine.toml` must be between 0 and 1");
        let held_out = Wanted { held_out: vec!["frends".to_owned()], ..wanted(1, 1) };
        let refused = library.draw(&held_out, &People::embedded().unwrap()).err().unwrap().to_string();
        assert_eq!(refused, "`frends` is not a persona; did you mean `friends`?");
    }

    #[test]
    fn what_is_shown_can_be_read_back_and_changes_nothing() {
        let library = Library::embedded().unwrap();
        let text = shown(&library.kinds[0], &library.personas);
        let again = library.changed("shown.toml", &text).unwrap();
        assert_eq!(shown(&again.kinds[0], &again.personas), text);
    }
}
