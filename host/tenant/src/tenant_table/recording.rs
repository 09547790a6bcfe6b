//! Which of a tenant's calls are recorded, and what their recordings leave out.

use serde::Deserialize;

use crate::version_store::Share;

/// `[recording]` of a `tenant.toml`. Nothing is recorded unless it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordingTerms {
    calls: Calls,
    /// Both voices are left out.
    pub without_audio: bool,
    /// What was said, pressed, asked of tools and published is left out.
    pub without_transcripts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Calls {
    #[default]
    None,
    Some(Share),
    All,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Text {
    mode: Mode,
    share: Option<String>,
    redact: Vec<Redacted>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Off,
    On,
    Sampled,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Redacted {
    Audio,
    Transcripts,
}

impl RecordingTerms {
    pub(super) fn parse(text: &Text) -> Result<Self, String> {
        let calls = match (text.mode, &text.share) {
            (Mode::Off, None) => Calls::None,
            (Mode::On, None) => Calls::All,
            (Mode::Sampled, Some(share)) => Calls::Some(share.parse().map_err(|_| {
                format!("recording.share: {share:?} is no share: write 1% to 99%, or mode = \"on\"")
            })?),
            (Mode::Sampled, None) => {
                return Err(
                    "recording.share: say which share of the calls, for example \"10%\"".into()
                );
            }
            (Mode::Off | Mode::On, Some(_)) => {
                return Err("recording.share: goes with mode = \"sampled\"".into());
            }
        };
        let leaves_out = |what| text.redact.contains(&what);
        Ok(Self {
            calls,
            without_audio: leaves_out(Redacted::Audio),
            without_transcripts: leaves_out(Redacted::Transcripts),
        })
    }

    /// Every call, with everything in it.
    #[must_use]
    pub fn everything() -> Self {
        Self { calls: Calls::All, ..Self::default() }
    }

    /// Whether a call is recorded: always the same answer for one call and share. It has nothing to do with
    /// which calls a canary gets.
    #[must_use]
    pub fn records(&self, call_id: &str) -> bool {
        match self.calls {
            Calls::None => false,
            Calls::All => true,
            Calls::Some(share) => share.takes(&format!("recorded {call_id}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Result<RecordingTerms, String> {
        let text: Text = toml::from_str(text).map_err(|error| error.to_string())?;
        RecordingTerms::parse(&text)
    }

    #[test]
    fn nothing_is_recorded_unless_it_says_so() {
        for text in ["", "mode = 'off'", "redact = ['audio']"] {
            assert!(!terms(text).unwrap().records("CA1"), "{text}");
        }
        let all = terms("mode = 'on'\nredact = ['audio', 'transcripts']").unwrap();
        assert!(all.records("CA1") && all.without_audio && all.without_transcripts);
    }

    #[test]
    fn a_share_is_sticky_and_about_as_large_as_it_says() {
        let tenth = terms("mode = 'sampled'\nshare = '10%'").unwrap();
        let recorded = (0..10_000).filter(|n| tenth.records(&format!("CA{n}"))).count();
        assert!((900..1_100).contains(&recorded), "{recorded}");
        assert_eq!(tenth.records("CA7"), tenth.records("CA7"));
    }

    #[test]
    fn a_share_of_the_calls_is_not_the_canarys_share() {
        let half = terms("mode = 'sampled'\nshare = '50%'").unwrap();
        let canary: Share = "50%".parse().unwrap();
        let calls = (0..1_000).map(|n| format!("CA{n}"));
        let both = calls.filter(|call| half.records(call) && canary.takes(call)).count();
        assert!((200..300).contains(&both), "{both}");
    }

    #[test]
    fn errors_name_the_key() {
        for (text, key) in [
            ("mode = 'sampled'", "recording.share"),
            ("mode = 'sampled'\nshare = '0%'", "recording.share"),
            ("mode = 'on'\nshare = '5%'", "recording.share"),
            ("mode = 'always'", "always"),
            ("redact = ['video']", "video"),
        ] {
            let error = terms(text).unwrap_err();
            assert!(error.contains(key), "{text} -> {error}");
        }
    }
}
