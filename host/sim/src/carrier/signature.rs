//! How the carrier signs: HMAC-SHA1 over the URL it asked for and the form it posted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Returns the `X-Twilio-Signature` of a request to `url` with the form `params` (empty for GET and for a WebSocket upgrade).
pub fn sign(auth_token: &str, url: &str, params: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = params.iter().collect();
    sorted.sort();
    sorted.dedup();
    let mut mac = <Hmac<Sha1>>::new_from_slice(auth_token.as_bytes())
        .expect("an HMAC takes a key of any length");
    mac.update(url.as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn signatures_are_those_of_the_official_libraries() {
        let text = include_str!("../../../../tests/fixtures/twilio/signature_vectors.json");
        let file: Value = serde_json::from_str(text).unwrap();
        let mut checked = 0;
        for vector in file["vectors"].as_array().unwrap() {
            // Where `signed_over` is set the vector was signed over another URL than the one a server is asked to check.
            if vector["expected_valid"] != true {
                continue;
            }
            let url = match &vector["signed_over"] {
                Value::String(over) => over,
                _ => vector["url"].as_str().unwrap(),
            };
            let params: Vec<(String, String)> = vector["params"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .map(|p| (p[0].as_str().unwrap().into(), p[1].as_str().unwrap().into()))
                .collect();
            let signature = sign(vector["auth_token"].as_str().unwrap(), url, &params);
            // A server also accepts its URL with or without the standard port; a carrier signs exactly one of them.
            let other_port = ["-443-", "-80-", "-80", "port-"].iter().any(|word| {
                vector["signed_over"].is_null() && vector["id"].as_str().unwrap().contains(word)
            });
            if !other_port {
                assert_eq!(signature, vector["signature"], "{}", vector["id"]);
                checked += 1;
            }
        }
        assert!(checked > 10, "only {checked} vectors agreed");
    }
}
