//! Whom a proxy asks for.
//!
//! **One rule: a header is believed from a proxy that the operator named, and only as far as proxies
//! wrote it.** Everybody can send such a header; each proxy adds the address it was asked from at the
//! end. So the client is the last address that is no named proxy.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// What most proxies write, unless the operator names another.
pub const CLIENT_HEADER: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies an operator trusts, and the header they write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<IpNet>,
    header: HeaderName,
}

impl Default for Proxies {
    fn default() -> Self {
        Self::new(Vec::new(), CLIENT_HEADER)
    }
}

impl Proxies {
    /// Trusts these networks to write this header: a list of addresses, or RFC 7239's `Forwarded`.
    #[must_use]
    pub fn new(networks: Vec<IpNet>, header: HeaderName) -> Self {
        Self { networks, header }
    }

    /// Reads a list of addresses and networks with commas between.
    ///
    /// # Errors
    /// What is neither.
    pub fn parse_networks(text: &str) -> Result<Vec<IpNet>, String> {
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            let parsed = text.parse::<IpNet>().or_else(|_| address());
            parsed.map_err(|_| format!("`{text}` is neither an address nor a network"))
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(network).collect()
    }

    /// Whether the operator named this address.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client that a named proxy asks for; none if it does not say.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let forwarded = self.header == "forwarded";
        for value in headers.get_all(&self.header).iter().rev() {
            // What can not be read ends the search: what stands before it may be anybody's.
            for element in value.to_str().ok()?.rsplit(',') {
                let text = if forwarded { forwarded_for(element)? } else { element };
                let address = address(text)?;
                if !self.trusts(address) {
                    return Some(address);
                }
            }
        }
        None
    }
}

/// What stands behind `for=` in an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })
}

/// An address with or without a port, brackets and quotes.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse::<IpAddr>().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_address_that_is_no_named_proxy() {
        for (written, client) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("198.51.100.1, 203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9:4711, 10.1.2.3", Some("203.0.113.9")),
            ("2001:db8::7,10.0.0.1", Some("2001:db8::7")),
            ("203.0.113.9, nonsense, 10.0.0.1", None),
            ("10.0.0.1", None),
            ("", None),
        ] {
            assert_eq!(asked("x-forwarded-for", &[written]), client.map(ip), "{written}");
        }
    }

    #[test]
    fn a_header_in_several_lines_is_one_list() {
        let lines = ["198.51.100.1", "203.0.113.9", "10.0.0.1, 10.0.0.2"];
        assert_eq!(asked("x-forwarded-for", &lines), Some(ip("203.0.113.9")));
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        for (written, client) in [
            ("for=192.0.2.60;proto=http;by=10.0.0.1", Some("192.0.2.60")),
            ("for=198.51.100.1, FOR=\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
            ("for=203.0.113.9, for=\"10.0.0.1\"", Some("203.0.113.9")),
            ("for=203.0.113.9, for=_hidden", None),
            ("proto=https", None),
        ] {
            assert_eq!(asked("forwarded", &[written]), client.map(ip), "{written}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_however_they_are_written() {
        let proxies = proxies("x-forwarded-for");
        assert!(proxies.trusts(ip("10.9.9.9")) && proxies.trusts(ip("::ffff:10.9.9.9")));
        assert!(!proxies.trusts(ip("11.0.0.1")) && !Proxies::default().trusts(ip("127.0.0.1")));
        assert!(Proxies::parse_networks("10.0.0.0/8, ::1").is_ok());
        assert!(Proxies::parse_networks("10.0.0.0/8, proxy.example").is_err());
    }

    fn proxies(header: &'static str) -> Proxies {
        let networks = Proxies::parse_networks("10.0.0.0/8").unwrap();
        Proxies::new(networks, HeaderName::from_static(header))
    }

    fn asked(header: &'static str, lines: &[&str]) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header, line.parse().unwrap());
        }
        proxies(header).client(&headers)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
