//! A carrier played message by message, for what the simulated one would never do.

use std::time::Duration;

use cordboard_sim::carrier::signature::sign;
use cordboard_sim::carrier::wire::{Ids, Writer};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::World;

/// A stream's socket.
#[derive(Debug)]
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// The id of a call: `CA` and 32 hex digits.
pub fn call_sid(n: u8) -> String {
    format!("CA{n:032x}")
}

/// Posts a form as the carrier does; `signed` with the right token, or not at all. Returns status and body.
pub async fn post(world: &World, path: &str, form: &[(&str, &str)], signed: bool) -> (u16, String) {
    let form: Vec<(String, String)> =
        form.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let body = reqwest::Url::parse_with_params("http://form.invalid/", &form)
        .expect("a form can be written")
        .query()
        .unwrap_or_default()
        .to_owned();
    let client = cordboard_sim::http::client().build().expect("a plain client builds");
    let mut request = client
        .post(world.url(path))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body);
    if signed {
        let url = format!("{}{path}", World::ORIGIN);
        request = request.header("X-Twilio-Signature", sign(World::AUTH_TOKEN, &url, &form));
    }
    let answer = request.send().await.expect("the gateway answers");
    (answer.status().as_u16(), answer.text().await.expect("the answer has an end"))
}

/// Announces a call and returns the path of the stream it was promised.
pub async fn ring(world: &World, call_sid: &str) -> String {
    let form = [
        ("CallSid", call_sid),
        ("AccountSid", "AC0000000000000000000000000000000a"),
        ("From", "+15550100001"),
        ("To", "+15550100002"),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
    ];
    let (status, twiml) = post(world, "/incoming-call", &form, true).await;
    assert_eq!(status, 200, "{twiml}");
    let from = twiml.find("/media/").expect("the TwiML names a stream");
    let rest = &twiml[from..];
    rest[..rest.find('"').expect("the attribute ends")].to_owned()
}

impl Socket {
    /// Opens a stream's socket, signed. An error is the HTTP status.
    pub async fn open(world: &World, path: &str) -> Result<Self, u16> {
        let public = format!("{}{path}", World::ORIGIN.replacen("https", "wss", 1));
        let mut request = world.ws_url(path).into_client_request().expect("the URL is one");
        let signature = sign(World::AUTH_TOKEN, &public, &[]);
        let signature = signature.parse().expect("base64 may stand in a header");
        request.headers_mut().insert("X-Twilio-Signature", signature);
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("the gateway can not be reached: {other}"),
        }
    }

    /// Says `connected` and `start` for this call.
    pub async fn begin(&mut self, call_sid: &str, stream: u8) {
        let ids = Ids {
            account_sid: "AC0000000000000000000000000000000a".into(),
            call_sid: call_sid.into(),
            stream_sid: format!("MZ{stream:032x}"),
        };
        let mut writer = Writer::new(ids, 120);
        self.say(writer.connected()).await;
        self.say(writer.start(&[])).await;
    }

    /// Sends a text message.
    pub async fn say(&mut self, text: String) {
        self.0.send(Message::text(text)).await.expect("the gateway takes it");
    }

    /// Reads until the gateway closes, and returns its code; 1006 if it only broke off.
    pub async fn closed(&mut self) -> u16 {
        let closing = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(frame))) => {
                        return frame.map_or(1005, |frame| frame.code.into());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return 1006,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), closing).await.expect("it closes")
    }

    /// Waits for the first `media` message.
    pub async fn hears_something(&mut self) {
        let heard = async {
            while let Some(Ok(message)) = self.0.next().await {
                if message.to_text().is_ok_and(|text| text.contains("\"media\"")) {
                    return;
                }
            }
            panic!("the stream ended in silence");
        };
        tokio::time::timeout(Duration::from_secs(30), heard).await.expect("something is said");
    }

    /// Closes as the carrier does.
    pub async fn close(mut self) {
        // A socket the gateway closed first is as good.
        let _ = self.0.close(None).await;
        self.closed().await;
    }
}
