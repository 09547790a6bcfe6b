//! What a tenant may have the carrier do with its calls: put callers through, press keys.
//!
//! **One rule: nothing that costs is allowed unless the operator wrote it down.** A tenant, or a model
//! that a caller talked into it, can ask for any number; what decides is `tenant.toml`, which no
//! deployment changes.

use std::fmt;

use serde::Deserialize;

/// `[transfer]` and `[keys]` of a `tenant.toml`. By default nobody is put through and no key pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierPolicy {
    destinations: Vec<Destination>,
    caller_ids: Vec<String>,
    /// Transfers within any hour.
    pub transfers_per_hour: usize,
    keys: String,
    /// Presses of keys, however many keys each has, within any hour.
    pub presses_per_hour: usize,
}

/// A limit of the operator's that a tenant wanted to go beyond.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (the operator's limit is {limit})")]
pub struct OverLimit {
    /// The key of `tenant.toml`, such as `transfer.allow`; a label of metrics.
    pub limit: &'static str,
    /// What was wanted and what would allow it, for the tenant and the log. No caller's words.
    pub reason: String,
}

impl OverLimit {
    pub(crate) fn new(limit: &'static str, reason: impl Into<String>) -> Self {
        Self { limit, reason: reason.into() }
    }
}

/// An entry of `transfer.allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    /// `+` and the first digits of a number.
    Prefix(String),
    /// Anybody at a host, or one user there. A host has its port with it.
    Sip { user: Option<String>, host: String },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TransferText {
    allow: Vec<String>,
    caller_ids: Vec<String>,
    per_hour: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeysText {
    allow: String,
    per_hour: Option<usize>,
}

impl Default for CarrierPolicy {
    fn default() -> Self {
        Self {
            destinations: Vec::new(),
            caller_ids: Vec::new(),
            transfers_per_hour: TRANSFERS_PER_HOUR,
            keys: String::new(),
            presses_per_hour: PRESSES_PER_HOUR,
        }
    }
}

impl CarrierPolicy {
    pub(super) fn parse(transfer: &TransferText, keys: &KeysText) -> Result<Self, String> {
        let destinations =
            transfer.allow.iter().map(|text| destination(text)).collect::<Result<_, _>>()?;
        if let Some(id) = transfer.caller_ids.iter().find(|id| prefix_digits(id).is_none()) {
            return Err(format!(
                "transfer.caller_ids: {id:?} is not a number such as \"+15551234567\""
            ));
        }
        if let Some(key) = keys.allow.chars().find(|key| !KEYS.contains(*key)) {
            return Err(format!("keys.allow: {key:?} is none of the keys {KEYS}"));
        }
        let per_hour = |key, text: Option<usize>, usual| match text {
            Some(count) if count > PER_HOUR_MAX => {
                Err(format!("{key}: {count} is not within 0 to {PER_HOUR_MAX}"))
            }
            count => Ok(count.unwrap_or(usual)),
        };
        Ok(Self {
            destinations,
            caller_ids: transfer.caller_ids.clone(),
            transfers_per_hour: per_hour(
                "transfer.per_hour",
                transfer.per_hour,
                TRANSFERS_PER_HOUR,
            )?,
            keys: keys.allow.clone(),
            presses_per_hour: per_hour("keys.per_hour", keys.per_hour, PRESSES_PER_HOUR)?,
        })
    }

    /// Whether a caller may be put through to `to`, who would see `caller_id`. `own` are the two numbers
    /// of the call, which the tenant may always show.
    ///
    /// # Errors
    /// What the operator would have to allow.
    pub fn check_transfer(
        &self,
        to: &str,
        caller_id: Option<&str>,
        own: [Option<&str>; 2],
    ) -> Result<(), OverLimit> {
        let masked = Masked(to);
        let allowing = self.destinations.iter().filter(|it| it.allows(to));
        let longest = allowing.map(Destination::digits).max();
        let Some(digits) = longest else {
            let reason = format!("a transfer to {masked} is not allowed to this tenant");
            return Err(OverLimit::new("transfer.allow", reason));
        };
        if PREMIUM.iter().any(|range| to.starts_with(range) && digits < range.len()) {
            let reason = format!(
                "a transfer to {masked}, a range of premium-rate or satellite numbers, needs an entry of its own"
            );
            return Err(OverLimit::new("transfer.allow", reason));
        }
        match caller_id {
            Some(id) if !own.contains(&Some(id)) && !self.caller_ids.iter().any(|it| it == id) => {
                let reason = "another number than the call's own is not to be shown to whom it is put \
                              through to";
                Err(OverLimit::new("transfer.caller_ids", reason))
            }
            _ => Ok(()),
        }
    }

    /// Whether these keys may be pressed.
    ///
    /// # Errors
    /// What the operator would have to allow.
    pub fn check_keys(&self, keys: &str) -> Result<(), OverLimit> {
        match keys.chars().find(|key| !self.keys.contains(*key)) {
            None => Ok(()),
            Some(key) => Err(OverLimit::new(
                "keys.allow",
                format!("pressing the key {key} is not allowed to this tenant"),
            )),
        }
    }
}

impl Destination {
    fn allows(&self, to: &str) -> bool {
        match self {
            Self::Prefix(prefix) => to.starts_with(prefix.as_str()),
            Self::Sip { user, host } => sip(to).is_some_and(|(to_user, to_host)| {
                to_host == *host && user.as_deref().is_none_or(|user| to_user == Some(user))
            }),
        }
    }

    /// How exact it is about a number, `+` included.
    fn digits(&self) -> usize {
        match self {
            Self::Prefix(prefix) => prefix.len(),
            Self::Sip { .. } => 0,
        }
    }
}

fn destination(text: &str) -> Result<Destination, String> {
    if let Some(digits) = prefix_digits(text) {
        return Ok(Destination::Prefix(format!("+{digits}")));
    }
    match sip(text) {
        Some((user, host)) => Ok(Destination::Sip { user: user.map(str::to_owned), host }),
        None => Err(format!(
            "transfer.allow: {text:?} is neither the beginning of a number (\"+49\", \"+4930123456\") nor a \
             SIP domain or address (\"sip:pbx.example.com\", \"sip:desk@pbx.example.com\")"
        )),
    }
}

/// The digits after the `+` of a number or its beginning.
fn prefix_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix('+')?;
    let is_number = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(digits)
}

/// User and host of a SIP address; none where it says more than these.
///
/// Parameters (`;maddr=`) and headers (`?Route=`) can lead a call past its host, so no address has any.
fn sip(text: &str) -> Option<(Option<&str>, String)> {
    let address = text.strip_prefix("sip:")?;
    let (user, host) = match address.split_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, address),
    };
    let is_plain = |text: &str, also: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
    };
    let is_sound = user.is_none_or(|user| is_plain(user, "+-_.!~*'()%")) && is_plain(host, ".-:[]");
    is_sound.then(|| (user, host.to_ascii_lowercase()))
}

/// Where to, with no more of it than tells a country or a host: the log holds nobody's number.
struct Masked<'a>(&'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match sip(self.0) {
            Some((_, host)) => write!(f, "sip:{host}"),
            None if self.0.starts_with("sip:") => {
                f.write_str("a SIP address with more than user@host")
            }
            None => write!(f, "{}..", self.0.get(..5).unwrap_or(self.0)),
        }
    }
}

/// Transfers of one tenant within any hour, where its file says nothing: 20. A reception puts more callers
/// through on no ordinary day, and a fraud that found an allowed number is bounded by it.
const TRANSFERS_PER_HOUR: usize = 20;

/// Presses of keys within any hour: 120. Each is a request to the carrier, which takes about one a second of
/// a whole account, and a break in the stream.
const PRESSES_PER_HOUR: usize = 120;

/// The most an operator may set; so many times are remembered, in 16 bytes each.
const PER_HOUR_MAX: usize = 10_000;

const KEYS: &str = "0123456789*#ABCDw";

/// Ranges whose calls cost many times the usual, or pay whoever is called. An entry as short as a country
/// opens none of them; one at least as long as the range does. From the national numbering plans and ITU-T
/// E.164: they make fraud dearer for who forgot them, and replace no allow-list.
const PREMIUM: &[&str] = &[
    // United States and Canada: 900 and 976.
    "+1900", "+1976", // Great Britain: 09, personal numbers 070, services 084 and 087.
    "+449", "+4470", "+4484", "+4487", // Germany, Austria, Switzerland.
    "+49900", "+49137", "+43900", "+43930", "+43939", "+41900", "+41901", "+41906",
    // France, Italy, Spain, the Netherlands, Belgium, Australia.
    "+3389", "+39899", "+39892", "+34803", "+34806", "+34807", "+31900", "+31906", "+31909",
    "+3290", "+61190",
    // Inmarsat, satellite networks, international networks, international premium rate.
    "+870", "+881", "+882", "+883", "+979",
];

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [Option<&str>; 2] = [Some("+4917012345"), Some("+4930999")];

    #[test]
    fn nobody_is_put_through_and_no_key_pressed_by_default() {
        let policy = CarrierPolicy::default();

        assert_eq!(over(&policy, "+15550100"), "transfer.allow");
        assert_eq!(policy.check_keys("1").unwrap_err().limit, "keys.allow");
    }

    #[test]
    fn a_number_is_allowed_by_its_beginning() {
        let policy = allowing(&["+4930", "+15550100"]);

        for to in ["+4930123456", "+4930", "+15550100", "+155501001"] {
            assert_eq!(policy.check_transfer(to, None, OWN), Ok(()), "{to}");
        }
        for to in ["+4940123456", "+493", "+1555010", "+1900", "15550100", "sip:+4930@evil.test"] {
            assert_eq!(over(&policy, to), "transfer.allow", "{to}");
        }
    }

    #[test]
    fn a_whole_country_opens_no_premium_number_of_it() {
        let country = allowing(&["+1", "+49", "+8"]);

        for to in ["+19005550100", "+49900123456", "+881612345"] {
            let refused = country.check_transfer(to, None, OWN).unwrap_err();
            assert!(refused.reason.contains("an entry of its own"), "{refused}");
        }
        assert_eq!(country.check_transfer("+19015550100", None, OWN), Ok(()));
        assert_eq!(allowing(&["+1", "+1900555"]).check_transfer("+19005550100", None, OWN), Ok(()));
    }

    #[test]
    fn a_sip_address_is_allowed_by_its_host_or_whole() {
        let policy = allowing(&["sip:pbx.example.com", "sip:desk@other.example:5070"]);

        for to in
            ["sip:desk@pbx.example.com", "sip:+1900@PBX.example.com", "sip:desk@other.example:5070"]
        {
            assert_eq!(policy.check_transfer(to, None, OWN), Ok(()), "{to}");
        }
        for to in [
            "sip:desk@pbx.example.com.evil.test",
            "sip:desk@evil.test",
            "sip:pbx.example.com@evil.test",
            "sip:desk@pbx.example.com@evil.test",
            "sip:desk@pbx.example.com;maddr=evil.test",
            "sip:desk@pbx.example.com?Route=evil.test",
            "sip:desk@pbx.example.com:5099",
            "sip:boss@other.example:5070",
            "sip:desk@other.example",
            "sip:",
        ] {
            assert_eq!(over(&policy, to), "transfer.allow", "{to}");
        }
    }

    #[test]
    fn only_numbers_of_the_call_or_of_the_list_are_shown() {
        let policy = CarrierPolicy { caller_ids: vec!["+15550177".into()], ..allowing(&["+1555"]) };

        for id in [None, Some("+4930999"), Some("+15550177")] {
            assert_eq!(policy.check_transfer("+15550100", id, OWN), Ok(()), "{id:?}");
        }
        let refused = policy.check_transfer("+15550100", Some("+15550188"), OWN).unwrap_err();
        assert_eq!(refused.limit, "transfer.caller_ids");
    }

    #[test]
    fn a_refusal_names_the_limit_and_not_the_whole_number() {
        let refused = allowing(&[]).check_transfer("+19005550100", None, OWN).unwrap_err();

        let words = refused.to_string();
        assert!(words.contains("transfer.allow") && words.contains("+1900.."), "{words}");
        assert!(!words.contains("5550100"), "{words}");
    }

    #[test]
    fn only_listed_keys_are_pressed() {
        let keys = KeysText { allow: "12#w".into(), per_hour: None };
        let policy = CarrierPolicy::parse(&TransferText::default(), &keys).unwrap();

        assert_eq!(policy.check_keys("12w#"), Ok(()));
        assert_eq!(policy.check_keys("13").unwrap_err().limit, "keys.allow");
    }

    #[test]
    fn entries_that_mean_nothing_are_refused_by_name() {
        for entry in ["", "+", "49", "+49 30", "sip:", "sip:a@b@c", "tel:+49", "+1234567890123456"]
        {
            let text = TransferText { allow: vec![entry.into()], ..TransferText::default() };
            let error = CarrierPolicy::parse(&text, &KeysText::default()).unwrap_err();
            assert!(error.contains(&format!("{entry:?}")), "{error}");
        }
        let keys = KeysText { allow: "0-9".into(), per_hour: None };
        let error = CarrierPolicy::parse(&TransferText::default(), &keys).unwrap_err();
        assert!(error.contains("keys.allow: '-'"), "{error}");
    }

    fn allowing(entries: &[&str]) -> CarrierPolicy {
        let allow = entries.iter().map(|it| (*it).to_owned()).collect();
        let text = TransferText { allow, ..TransferText::default() };
        CarrierPolicy::parse(&text, &KeysText::default()).unwrap()
    }

    fn over(policy: &CarrierPolicy, to: &str) -> &'static str {
        policy.check_transfer(to, None, OWN).unwrap_err().limit
    }
}
