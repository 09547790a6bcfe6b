//! `tenant.toml`, parsed into values that cannot be wrong.

use std::borrow::Borrow;
use std::fmt;
use std::path::{Component as PathComponent, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::carrier::{CarrierPolicy, KeysText, TransferText};
use super::http::HttpPolicy;
use super::recording::{self, RecordingTerms};
use crate::limits::{Limits, MEMORY_BYTES_CEILING};

/// A tenant's name: 1 to 63 of `a`-`z`, `0`-`9` and `-`, beginning with a letter or digit.
///
/// It is a directory, a part of URLs and a label of metrics, and never needs escaping in any of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(String);

impl TenantId {
    /// Reads a name.
    ///
    /// # Errors
    ///
    /// A sentence that says what a name may look like.
    pub fn parse(name: &str) -> Result<Self, String> {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || name.len() > 63 || !plain || name.starts_with('-') {
            return Err(format!(
                "{name:?} cannot name a tenant: 1 to 63 of a-z, 0-9 and -, not beginning with -"
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The tenant that answers what no other has claimed.
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tenant's directory says about it, apart from its [`numbers`].
#[derive(Debug, Default)]
pub(super) struct ManifestText {
    pub(super) component: Option<PathBuf>,
    pub(super) max_calls: Option<u32>,
    pub(super) settings: serde_json::Map<String, serde_json::Value>,
    pub(super) limits: Limits,
    pub(super) http: HttpPolicy,
    pub(super) carrier: CarrierPolicy,
    pub(super) recording: RecordingTerms,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Text {
    component: Option<PathBuf>,
    numbers: Vec<String>,
    max_calls: Option<u32>,
    settings: serde_json::Map<String, serde_json::Value>,
    limits: TextLimits,
    http: HttpPolicy,
    transfer: TransferText,
    keys: KeysText,
    recording: recording::Text,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TextLimits {
    event_cpu_ms: Option<u64>,
    start_cpu_ms: Option<u64>,
    handover_cpu_ms: Option<u64>,
    cpu_ms_per_call_second: Option<u64>,
    memory_mib: Option<u64>,
    memory_mib_all_calls: Option<u64>,
    actions_max: Option<u64>,
    log_bytes_per_second: Option<u64>,
}

impl ManifestText {
    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// A sentence that names the key, and the line where the syntax is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text: Text = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        if let Some(component) = &text.component
            && !stays_inside(component)
        {
            return Err(format!(
                "component: {} leaves the tenant's directory",
                component.display()
            ));
        }
        text.numbers.iter().try_for_each(|number| e164(number))?;
        Ok(Self {
            component: text.component,
            max_calls: text.max_calls,
            settings: text.settings,
            limits: text.limits.parse()?,
            http: text.http,
            carrier: CarrierPolicy::parse(&text.transfer, &text.keys)?,
            recording: RecordingTerms::parse(&text.recording)?,
        })
    }
}

/// The numbers a manifest claims, whatever else is wrong with it. Where it is no TOML, every number that it
/// has in quotes is its own: a caller who hears nothing in particular beats one whom another tenant answers.
pub(super) fn numbers(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else {
        return text.split(['"', '\'']).filter(|it| e164(it).is_ok()).map(str::to_owned).collect();
    };
    let claimed = table.get("numbers").and_then(toml::Value::as_array).into_iter().flatten();
    let texts = claimed.filter_map(toml::Value::as_str);
    texts.filter(|number| e164(number).is_ok()).map(str::to_owned).collect()
}

/// Whether the text is TOML at all, which says nothing about its keys.
pub(super) fn is_toml(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok()
}

impl TextLimits {
    fn parse(&self) -> Result<Limits, String> {
        let usual = Limits::default();
        let millis = |key, value: Option<u64>, most, usual| match value {
            None => Ok(usual),
            Some(value) => within(key, value, 1, most).map(Duration::from_millis),
        };
        let number = |key, value: Option<u64>, least, most, usual| match value {
            None => Ok(usual),
            Some(value) => within(key, value, least, most)
                .map(|value| usize::try_from(value).expect("the upper bound fits")),
        };
        let memory_mib_max = (MEMORY_BYTES_CEILING >> 20) as u64;
        let memory_mib_usual = usual.memory_bytes >> 20;
        Ok(Limits {
            event_cpu: millis("event_cpu_ms", self.event_cpu_ms, 200, usual.event_cpu)?,
            start_cpu: millis("start_cpu_ms", self.start_cpu_ms, 5_000, usual.start_cpu)?,
            handover_cpu: millis("handover_cpu_ms", self.handover_cpu_ms, 200, usual.handover_cpu)?,
            cpu_per_call: millis(
                "cpu_ms_per_call_second",
                self.cpu_ms_per_call_second,
                1_000,
                usual.cpu_per_call,
            )?,
            memory_bytes: number(
                "memory_mib",
                self.memory_mib,
                1,
                memory_mib_max,
                memory_mib_usual,
            )? << 20,
            memory_bytes_all_calls: match self.memory_mib_all_calls {
                None => None,
                mib => Some(number("memory_mib_all_calls", mib, 1, 1 << 20, 0)? << 20),
            },
            actions_max: number("actions_max", self.actions_max, 1, 4_096, usual.actions_max)?,
            log_bytes_per_second: number(
                "log_bytes_per_second",
                self.log_bytes_per_second,
                0,
                1 << 20,
                usual.log_bytes_per_second,
            )?,
            ..usual
        })
    }
}

fn within(key: &str, value: u64, least: u64, most: u64) -> Result<u64, String> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(format!("limits.{key}: {value} is not within {least} to {most}"))
}

fn e164(number: &str) -> Result<(), String> {
    let digits = number.strip_prefix('+').unwrap_or("");
    if (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!("numbers: {number:?} is not a number such as \"+15551234567\""))
}

/// Whether a path names a file in or below the directory it is relative to.
fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, PathComponent::Normal(_) | PathComponent::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_left_out() {
        let manifest = ManifestText::parse("").unwrap();

        assert_eq!(manifest.limits, Limits::default());
        assert!(manifest.component.is_none() && numbers("").is_empty());
    }

    #[test]
    fn a_full_manifest_is_read() {
        let text = r#"
            component = "acme.wasm"
            numbers = ["+15551234567"]
            max_calls = 3

            [settings]
            instructions = "Be brief."
            tools = [{ name = "lookup" }]

            [limits]
            memory_mib = 64
            event_cpu_ms = 5

            [http]
            allow = ["https://api.example.com/"]
            secrets = ["CRM_TOKEN"]
            "#;
        let manifest = ManifestText::parse(text).unwrap();

        assert_eq!(numbers(text), ["+15551234567"]);
        assert_eq!(manifest.component, Some("acme.wasm".into()));
        assert_eq!(manifest.max_calls, Some(3));
        assert_eq!(manifest.settings["tools"][0]["name"], "lookup");
        assert_eq!(manifest.limits.memory_bytes, 64 << 20);
        assert_eq!(manifest.limits.event_cpu, Duration::from_millis(5));
        assert!(manifest.http.secrets().eq(["CRM_TOKEN"]));
    }

    #[test]
    fn the_file_in_the_readme_is_read_and_shows_the_usual_limits() {
        let readme = include_str!("../../../../guest/README.md");
        let (_, section) = readme.split_once("## The rest of tenant.toml").unwrap();
        let text = section.split("```").nth(1).unwrap().strip_prefix("toml").unwrap();

        let manifest = ManifestText::parse(text).unwrap();

        assert_eq!(manifest.limits, Limits::default());
        assert!(manifest.http.secrets().eq(["SHOP"]));
        assert_eq!(*manifest.http.budget(), crate::HttpBudget::default());
    }

    #[test]
    fn a_broken_file_keeps_its_numbers() {
        for text in [
            "numbers = [\"+15550123\", '+15550124']\n[settings\n",
            "name = \"numbers = [\"+15550123\", \"+15550124\", \"911\"",
        ] {
            assert_eq!(numbers(text), ["+15550123", "+15550124"], "{text}");
        }
    }

    #[test]
    fn errors_name_the_key() {
        for (text, key) in [
            ("compnent = 'x'", "compnent"),
            ("numbers = ['555']", "numbers"),
            ("component = '../other/x.wasm'", "component"),
            ("component = '/etc/passwd'", "component"),
            ("[limits]\nmemory_mib = 65", "limits.memory_mib"),
            ("[limits]\nevent_cpu_ms = 0", "limits.event_cpu_ms"),
            ("[http]\nallow = ['ftp://x/']", "http.allow"),
            ("[http]\nsecrets = [5]", "http.secrets"),
            ("[transfer]\nallow = ['49']", "transfer.allow"),
            ("[transfer]\nper_hour = 10001", "transfer.per_hour"),
            ("[keys]\nallow = 'x'", "keys.allow"),
            ("max_calls = -1", "max_calls"),
            ("[recording]\nmode = 'sampled'", "recording.share"),
        ] {
            let error = ManifestText::parse(text).unwrap_err();
            assert!(error.contains(key), "{text} -> {error}");
        }
    }

    #[test]
    fn names_that_would_need_escaping_are_refused() {
        for name in ["", "Acme", "a/b", "..", "-a", "ä", &"a".repeat(64)] {
            assert!(TenantId::parse(name).is_err(), "{name}");
        }
        assert_eq!(TenantId::parse("acme-2").unwrap().as_str(), "acme-2");
    }
}
