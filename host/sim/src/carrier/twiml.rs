//! Reading the answer to a webhook.
//!
//! One rule: what the real carrier would refuse or warn about is refused here by its code (11750 too large, 12100 not TwiML, 31922 not
//! wss, 31923 no URL, 31941 wrong track), so that a gateway cannot pass its tests with a document that only we understand.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// The carrier reads at most this much: 64 kB.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// `name` and `value` of a parameter together must stay below this.
pub const PARAMETER_CHARS_MAX: usize = 500;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// `<Connect><Stream>`: the call blocks until the stream is over.
    Connect(Connect),
    /// `<Say>`.
    Say(String),
    /// `<Play>`: a URL, or keys to press.
    Play {
        /// The address of a recording; empty if only keys are pressed.
        url: String,
        /// Keys, `w` for half a second.
        digits: Option<String>,
    },
    /// `<Pause>` in seconds.
    Pause(u32),
    /// `<Dial>`: the call leaves the gateway.
    Dial(String),
    /// `<Redirect>`: fetch another document.
    Redirect {
        /// Its address, absolute or relative.
        url: String,
        /// `GET` or `POST`.
        method: String,
    },
    /// `<Hangup>`.
    Hangup,
    /// `<Reject>` with its reason, `rejected` or `busy`.
    Reject(String),
}

/// A `<Connect>` with its one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// Asked for once the stream is over.
    pub action: Option<String>,
    /// How `action` is asked for.
    pub method: String,
    /// The stream.
    pub stream: Stream,
}

/// A `<Stream>` inside `<Connect>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// The WebSocket to open, **without** its query string: the carrier strips it.
    pub url: String,
    /// The query string that was stripped.
    pub stripped_query: Option<String>,
    /// Its name; the stream id if absent.
    pub name: Option<String>,
    /// Where stream-started, -stopped and -error go.
    pub status_callback: Option<String>,
    /// What the gateway gets in `start.customParameters`, in document order.
    pub parameters: Vec<(String, String)>,
}

/// A document the carrier would not run, with the code it files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Refused {
    /// The carrier's error code.
    pub code: u16,
    /// What is wrong.
    pub text: String,
}

/// Reads a document. `allow_ws` also accepts `ws://` stream URLs, which the real carrier never does.
pub fn parse(document: &str, allow_ws: bool) -> Result<Vec<Verb>, Refused> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return refuse(11750, format!("the document has {} bytes", document.len()));
    }
    let root = tree(document)?;
    if root.name != "Response" {
        return refuse(12100, format!("the root is <{}>, not <Response>", root.name));
    }
    root.children.iter().map(|element| verb(element, allow_ws)).collect()
}

fn verb(element: &Element, allow_ws: bool) -> Result<Verb, Refused> {
    Ok(match element.name.as_str() {
        "Connect" => {
            element.allows(&["action", "method"])?;
            let [stream] = element.children.as_slice() else {
                return refuse(12100, "<Connect> takes exactly one <Stream>");
            };
            Verb::Connect(Connect {
                action: element.attribute("action"),
                method: element.attribute("method").unwrap_or_else(|| "POST".into()),
                stream: stream_of(stream, allow_ws)?,
            })
        }
        "Say" => {
            element.allows(&["voice", "language", "loop"])?;
            Verb::Say(element.text.trim().to_owned())
        }
        "Play" => {
            element.allows(&["digits", "loop"])?;
            Verb::Play { url: element.text.trim().to_owned(), digits: element.attribute("digits") }
        }
        "Pause" => {
            element.allows(&["length"])?;
            let length = element.attribute("length").unwrap_or_else(|| "1".into());
            match length.parse() {
                Ok(seconds) => Verb::Pause(seconds),
                Err(_) => return refuse(12100, format!("<Pause length=\"{length}\">")),
            }
        }
        "Dial" => Verb::Dial(match element.children.first() {
            Some(noun) => noun.text.trim().to_owned(),
            None => element.text.trim().to_owned(),
        }),
        "Redirect" => {
            element.allows(&["method"])?;
            Verb::Redirect {
                url: element.text.trim().to_owned(),
                method: element.attribute("method").unwrap_or_else(|| "POST".into()),
            }
        }
        "Hangup" => {
            element.allows(&[])?;
            Verb::Hangup
        }
        "Reject" => {
            element.allows(&["reason"])?;
            Verb::Reject(element.attribute("reason").unwrap_or_else(|| "rejected".into()))
        }
        other => return refuse(12100, format!("<{other}> is not a verb this carrier plays")),
    })
}

fn stream_of(element: &Element, allow_ws: bool) -> Result<Stream, Refused> {
    if element.name != "Stream" {
        return refuse(12100, format!("<{}> inside <Connect>", element.name));
    }
    element.allows(&[
        "url",
        "name",
        "track",
        "statusCallback",
        "statusCallbackMethod",
        "connectorName",
        "audioFormat",
        "sampleRate",
    ])?;
    if let Some(track) = element.attribute("track").filter(|track| track != "inbound_track") {
        return refuse(31941, format!("track {track} with <Connect>"));
    }
    let Some(written) = element.attribute("url") else {
        return refuse(31923, "<Stream> has no url");
    };
    let Ok(mut url) = url::Url::parse(&written) else {
        return refuse(31923, format!("{written} is no absolute URL"));
    };
    match url.scheme() {
        "wss" => {}
        "ws" if allow_ws => {}
        scheme => return refuse(31922, format!("scheme {scheme}, not wss")),
    }
    let stripped_query = url.query().map(str::to_owned);
    url.set_query(None);
    url.set_fragment(None);
    let mut parameters = Vec::new();
    for child in &element.children {
        if child.name != "Parameter" {
            return refuse(12100, format!("<{}> inside <Stream>", child.name));
        }
        child.allows(&["name", "value"])?;
        let (Some(name), Some(value)) = (child.attribute("name"), child.attribute("value")) else {
            return refuse(12100, "<Parameter> needs a name and a value");
        };
        if name.chars().count() + value.chars().count() >= PARAMETER_CHARS_MAX {
            return refuse(12100, format!("parameter {name} has 500 characters or more"));
        }
        parameters.push((name, value));
    }
    Ok(Stream {
        url: url.into(),
        stripped_query,
        name: element.attribute("name"),
        status_callback: element.attribute("statusCallback"),
        parameters,
    })
}

fn refuse<T>(code: u16, text: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { code, text: text.into() })
}

#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    fn allows(&self, names: &[&str]) -> Result<(), Refused> {
        match self.attributes.iter().find(|(key, _)| !names.contains(&key.as_str())) {
            Some((key, _)) => refuse(12100, format!("attribute {key} of <{}>", self.name)),
            None => Ok(()),
        }
    }
}

fn tree(document: &str) -> Result<Element, Refused> {
    let not_xml = |e: &dyn std::fmt::Display| Refused { code: 12100, text: e.to_string() };
    let mut reader = Reader::from_str(document);
    let mut open: Vec<Element> = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|e| not_xml(&e))?;
        match event {
            Event::Start(start) => open.push(element(&start)?),
            Event::Empty(start) => {
                let child = element(&start)?;
                innermost(&mut open).children.push(child);
            }
            Event::End(_) => {
                let done = open.pop().expect("the reader checks that ends match starts");
                innermost(&mut open).children.push(done);
            }
            Event::Text(text) => innermost(&mut open).text.push_str(&text),
            Event::GeneralRef(reference) => {
                let escaped = format!("&{};", &*reference);
                let text = quick_xml::escape::unescape(&escaped).map_err(|e| not_xml(&e))?;
                innermost(&mut open).text.push_str(&text);
            }
            Event::CData(data) => innermost(&mut open).text.push_str(&data),
            Event::DocType(_) => return refuse(12100, "a DOCTYPE is not TwiML"),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    if open.len() != 1 {
        return refuse(12100, "an element is not closed");
    }
    let mut document = open.pop().expect("its length was just checked");
    match (document.children.pop(), document.children.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => refuse(12100, "a document has exactly one root"),
    }
}

fn innermost(open: &mut [Element]) -> &mut Element {
    open.last_mut().expect("the document itself is never closed")
}

fn element(start: &BytesStart<'_>) -> Result<Element, Refused> {
    let mut element = Element { name: start.name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| Refused { code: 12100, text: e.to_string() })?;
        let key = attribute.key.as_ref().to_owned();
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|e| Refused { code: 12100, text: e.to_string() })?;
        element.attributes.push((key, value.into_owned()));
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(document: &str) -> u16 {
        parse(document, false).unwrap_err().code
    }

    #[test]
    fn a_stream_with_parameters_and_a_fallback_is_read_whole() {
        let verbs = parse(
            r#"<?xml version="1.0" encoding="UTF-8"?>
            <Response><Connect action="https://gw/after">
              <Stream url="wss://gw/tw/abc" statusCallback="https://gw/status">
                <Parameter name="tenant" value="a &amp; &quot;b&quot;"/>
              </Stream></Connect><Say voice="alice">Sorry &amp; goodbye</Say><Pause/><Hangup/></Response>"#,
            false,
        )
        .unwrap();
        let Verb::Connect(connect) = &verbs[0] else { panic!("{verbs:?}") };
        assert_eq!(connect.action.as_deref(), Some("https://gw/after"));
        assert_eq!(connect.stream.url, "wss://gw/tw/abc");
        assert_eq!(connect.stream.status_callback.as_deref(), Some("https://gw/status"));
        assert_eq!(connect.stream.parameters, [("tenant".into(), "a & \"b\"".into())]);
        assert_eq!(verbs[1..], [Verb::Say("Sorry & goodbye".into()), Verb::Pause(1), Verb::Hangup]);
    }

    #[test]
    fn the_query_of_a_stream_url_is_stripped() {
        let text = r#"<Response><Connect><Stream url="wss://gw/tw?token=1"/></Connect></Response>"#;
        let verbs = parse(text, false).unwrap();
        let Verb::Connect(connect) = &verbs[0] else { panic!("{verbs:?}") };
        assert_eq!(connect.stream.url, "wss://gw/tw");
        assert_eq!(connect.stream.stripped_query.as_deref(), Some("token=1"));
    }

    #[test]
    fn ws_is_refused_unless_a_test_allows_it() {
        let text = r#"<Response><Connect><Stream url="ws://gw/tw"/></Connect></Response>"#;
        assert_eq!(code(text), 31922);
        assert!(parse(text, true).is_ok());
    }

    #[test]
    fn documents_the_carrier_refuses_are_refused_with_its_code() {
        let big = format!("<Response><Say>{}</Say></Response>", "a".repeat(DOCUMENT_BYTES_MAX));
        assert_eq!(code(&big), 11750);
        let long = "v".repeat(PARAMETER_CHARS_MAX - 1);
        for (text, expected) in [
            ("", 12100),
            ("not xml", 12100),
            ("<Response>", 12100),
            ("<Response/><Response/>", 12100),
            ("<Other/>", 12100),
            ("<Response><Dance/></Response>", 12100),
            ("<Response><Connect/></Response>", 12100),
            ("<Response><Say volume=\"1\">x</Say></Response>", 12100),
            ("<!DOCTYPE a><Response/>", 12100),
            ("<Response><Connect><Stream/></Connect></Response>", 31923),
            ("<Response><Connect><Stream url=\"/tw\"/></Connect></Response>", 31923),
            (
                "<Response><Connect><Stream url=\"wss://a/b\" track=\"both_tracks\"/></Connect></Response>",
                31941,
            ),
            (
                &format!(
                    "<Response><Connect><Stream url=\"wss://a/b\"><Parameter name=\"n\" value=\"{long}\"/></Stream></Connect></Response>"
                ),
                12100,
            ),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }
}
