//! Reading a scenario file, and saying what is wrong with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cordboard_sim::audio::wav;
use cordboard_sim::speech;
use serde_saphyr::{Error, Location, Spanned};

use super::{Expectation, Script, Step};

/// Bytes of a scenario file: 1 MiB, a hundred times the longest anybody would read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The longest wait a step may name, in milliseconds: an hour of virtual time.
const WAIT_MS_MAX: u64 = 3_600_000;

/// A scenario that was read and found sound.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Where it was read from, as it was given.
    pub file: PathBuf,
    /// Its own name, or the file's.
    pub name: String,
    /// What happens in it.
    pub script: Script,
    /// The WAV files it names, as mu-law at 8 kHz.
    pub sounds: BTreeMap<PathBuf, Vec<u8>>,
}

/// What is wrong with a scenario file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", place(file, *line))]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 where no line is to blame.
    pub line: u64,
    /// What is wrong with it, and what was probably meant.
    pub message: String,
}

fn place(file: &Path, line: u64) -> String {
    match line {
        0 => file.display().to_string(),
        line => format!("{}:{line}", file.display()),
    }
}

impl Scenario {
    /// Reads a file, and the WAV files it names.
    ///
    /// # Errors
    ///
    /// What is wrong, and in which line.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let at_fault = |message: String| Problem { file: file.to_owned(), line: 0, message };
        let size = fs::metadata(file).map_err(|e| at_fault(format!("cannot be read: {e}")))?.len();
        if size > FILE_BYTES_MAX {
            return Err(at_fault(format!("has {size} bytes; {FILE_BYTES_MAX} are allowed")));
        }
        let text =
            fs::read_to_string(file).map_err(|e| at_fault(format!("cannot be read: {e}")))?;
        Self::parse(file, &text)
    }

    /// Reads a scenario from its text; `file` names it, and its folder is where WAV files are looked for.
    ///
    /// # Errors
    ///
    /// As [`Scenario::read`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, Problem> {
        let script: Script = serde_saphyr::from_str(text).map_err(|error| problem(file, &error))?;
        let mut sounds = BTreeMap::new();
        for step in &script.steps {
            let wrong =
                |message| Problem { file: file.to_owned(), line: line_of(step, 0), message };
            check(&step.value).map_err(wrong)?;
            if let Step::CallerSays(speech) = &step.value
                && let Some(path) = &speech.wav
            {
                let folder = file.parent().unwrap_or(Path::new(""));
                let sound = wav::read_as_ulaw(&folder.join(path));
                let sound = sound.map_err(|error| wrong(format!("{error:#}")))?;
                sounds.insert(path.clone(), sound);
            }
            if let Step::Expect(list) | Step::Never(list) = &step.value {
                check_expectations(list, line_of(step, 0)).map_err(|(line, message)| Problem {
                    file: file.to_owned(),
                    line,
                    message,
                })?;
            }
        }
        let stem = || file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = script.name.clone().unwrap_or_else(stem);
        Ok(Self { file: file.to_owned(), name, script, sounds })
    }
}

/// The line something stands in, or another where it has none.
pub(crate) fn line_of<T>(spanned: &Spanned<T>, otherwise: u64) -> u64 {
    match spanned.referenced {
        Location::UNKNOWN => otherwise,
        location => location.line(),
    }
}

/// What the types can not say of a step.
fn check(step: &Step) -> Result<(), String> {
    match step {
        Step::CallerPresses(keys) => {
            match keys.chars().find(|key| !"0123456789*#ABCDw".contains(*key)) {
                Some(key) => {
                    Err(format!("`{key}` is no key; there are 0-9, *, #, A-D, and w for a pause"))
                }
                None if keys.is_empty() => Err("no key is pressed".to_owned()),
                None => Ok(()),
            }
        }
        Step::Wait(ms) | Step::ModelLost(ms) if *ms > WAIT_MS_MAX => {
            Err(format!("{ms} ms is longer than an hour"))
        }
        Step::CallerSays(it) => {
            let sources = [it.wav.is_some(), it.clip.is_some(), it.tone_hz.is_some()];
            if sources.iter().filter(|is_there| **is_there).count() > 1 {
                return Err("`wav`, `clip` and `tone_hz` are three sounds; name one".to_owned());
            }
            if it.ms.is_some_and(|ms| ms > WAIT_MS_MAX) {
                return Err("`ms` is longer than an hour".to_owned());
            }
            if it.text.is_none() && it.ms.is_none() && !sources[0] && !sources[1] {
                return Err("a sound needs a `text`, a `wav`, a `clip` or `ms`".to_owned());
            }
            known_clip(it.clip.as_deref(), &speech::CALLER)
        }
        Step::ModelAnswers(it) => {
            if it.within_ms.or(it.ms).is_some_and(|ms| ms > WAIT_MS_MAX) {
                return Err("a wait is longer than an hour".to_owned());
            }
            known_clip(it.clip.as_deref(), &speech::AGENT)
        }
        Step::ModelEvent(event) if event.get("type").is_none() => {
            Err("an event of the model has a `type`".to_owned())
        }
        _ => Ok(()),
    }
}

fn known_clip(name: Option<&str>, clips: &[speech::Clip]) -> Result<(), String> {
    let Some(name) = name else { return Ok(()) };
    let known: Vec<_> = clips.iter().map(|clip| clip.name).collect();
    match known.contains(&name) {
        true => Ok(()),
        false => Err(format!("there is no clip `{name}`{}", meant(name, &known))),
    }
}

fn check_expectations(list: &[Spanned<Expectation>], line: u64) -> Result<(), (u64, String)> {
    for spanned in list {
        let (line, it) = (line_of(spanned, line), &spanned.value);
        let named = [
            it.action.is_some(),
            it.model_gets.is_some(),
            it.publishes.is_some(),
            it.http.is_some(),
            it.refused.is_some(),
            it.logs.is_some(),
            it.call_ends.is_some(),
            it.hears.is_some(),
            it.silence.is_some(),
            !it.in_order.is_empty(),
        ];
        let kinds = "action, model_gets, publishes, http, refused, logs, call_ends, hears, silence, in_order";
        match named.iter().filter(|is_there| **is_there).count() {
            1 => {}
            0 => return Err((line, format!("nothing is expected here; name one of {kinds}"))),
            _ => {
                return Err((
                    line,
                    format!("an expectation is about one of {kinds}; make two of it"),
                ));
            }
        }
        if it.within_ms.is_some_and(|ms| ms > WAIT_MS_MAX) {
            return Err((line, "`within_ms` is longer than an hour".to_owned()));
        }
        check_expectations(&it.in_order, line)?;
    }
    Ok(())
}

fn problem(file: &Path, error: &Error) -> Problem {
    let error = error.without_snippet();
    let line = error.location().map_or(0, |location| location.line());
    let message = match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("there is no key `{field}` here{}", meant(field, expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("there is no `{variant}`{}", meant(variant, expected))
        }
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            "a step is one thing: begin the next one with `- ` on a line of its own".to_owned()
        }
        error => {
            let text = error.to_string();
            // The line is said before the message already.
            text.split(" at line ").next().unwrap_or(&text).to_owned()
        }
    };
    Problem { file: file.to_owned(), line, message }
}

/// What was probably meant, and what else there is.
fn meant(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    let list = known.join(", ");
    match nearest {
        Some(nearest) if strsim::jaro_winkler(name, nearest) > 0.75 => {
            format!("; did you mean `{nearest}`? There are: {list}")
        }
        _ => format!("; there are: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Scenario, Problem> {
        Scenario::parse(Path::new("folder/a call.yaml"), text)
    }

    fn complaint(text: &str) -> String {
        parse(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn every_step_keeps_its_line_and_a_file_without_a_name_has_its_own() {
        let scenario = parse("steps:\n- wait: 100\n\n- caller_hangs_up\n").unwrap();

        assert_eq!(scenario.name, "a call");
        let lines: Vec<_> = scenario.script.steps.iter().map(|step| line_of(step, 0)).collect();
        assert_eq!(lines, [2, 4]);
    }

    #[test]
    fn short_and_long_forms_say_the_same() {
        let short = parse("steps:\n- caller_says: hello\n- expect: {publishes: done}\n").unwrap();
        let long =
            parse("steps:\n- caller_says: {text: hello}\n- expect: [{publishes: done}]\n").unwrap();

        let [a, b] = [&short, &long].map(|it| match &it.script.steps[0].value {
            Step::CallerSays(speech) => speech.text.clone(),
            other => panic!("{other:?}"),
        });
        assert_eq!(a, b);
    }

    #[test]
    fn a_wav_file_is_looked_for_beside_the_scenario() {
        let folder = tempfile::tempdir().unwrap();
        // A second of silence on both channels.
        wav::write_call(&folder.path().join("hello.wav"), &[0xff; 8_000], &[0xff; 8_000]).unwrap();
        let file = folder.path().join("call.yaml");
        fs::write(&file, "steps:\n- caller_says: {wav: hello.wav, text: hello}\n").unwrap();

        let scenario = Scenario::read(&file).unwrap();

        assert_eq!(scenario.sounds[Path::new("hello.wav")].len(), 8_000);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_one_that_was_meant() {
        let said = complaint("steps:\n- wait: 5\n- caller_says:\n    txt: hi\n");
        assert!(said.contains("yaml:4: there is no key `txt`"), "{said}");
        assert!(said.contains("did you mean `text`"), "{said}");

        let said = complaint("steps:\n- caller_sais: hi\n");
        assert!(said.contains("yaml:2: ") && said.contains("did you mean `caller_says`"), "{said}");

        let said = complaint("setps: []\n");
        assert!(said.contains("did you mean `steps`"), "{said}");
    }

    #[test]
    fn what_the_types_can_not_say_is_checked_as_well() {
        for (text, expected) in [
            ("steps:\n- expect: {within_ms: 5}\n", "nothing is expected"),
            ("steps:\n- expect: {hears: {}, publishes: x}\n", "make two of it"),
            (
                "steps:\n- wait: 1\n- expect:\n  - publishes: x\n  - within_ms: 9\n",
                "yaml:5: nothing",
            ),
            ("steps:\n- caller_presses: '12z'\n", "`z` is no key"),
            ("steps:\n- caller_says: {clip: huors}\n", "did you mean `hours`"),
            ("steps:\n- caller_says: {}\n", "a sound needs"),
            ("steps:\n- wait: 1\n  swap:\n", "a step is one thing"),
            ("steps:\n- wait: soon\n", "yaml:2: "),
            ("steps: [\n", "yaml:1: "),
            ("steps:\n- model_event: {kind: x}\n", "has a `type`"),
            ("steps:\n- caller_says: {wav: none.wav}\n", "none.wav"),
        ] {
            let said = complaint(text);
            assert!(said.contains(expected), "{text:?} gives {said:?}");
        }
    }
}
