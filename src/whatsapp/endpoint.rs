//! The address of a simulator. A build with the feature `simulator` does not check WhatsApp's
//! certificate, so it must never talk to anything but this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::gateway::GatewayError;

/// Accepts an endpoint if it is a WebSocket URL with a loopback address. The address must be a literal one: a
/// name, even `localhost`, could lead anywhere, and elsewhere later.
///
/// # Errors
/// [`GatewayError`] says why it is refused.
pub fn check_endpoint(text: &str) -> Result<http::Uri, GatewayError> {
    let not_a_url = || GatewayError::NotAUrl(text.to_owned());
    let not_loopback = || GatewayError::NotLoopback(text.to_owned());
    let (scheme, rest) = text.split_once("://").ok_or_else(not_a_url)?;
    // A character that another parser could take for the end or the beginning of the authority must not
    // hide another host.
    let hiding = |c: char| c.is_whitespace() || c.is_control() || "\\@#".contains(c);
    if !matches!(scheme, "ws" | "wss") || text.contains(char::is_whitespace) {
        return Err(not_a_url());
    }
    if text.contains(hiding) {
        return Err(not_loopback());
    }
    let authority = rest.split(['/', '?']).next().unwrap_or("");
    let (address, port) = if let Some(v6) = authority.strip_prefix('[') {
        let (host, port) = v6.split_once(']').ok_or_else(not_a_url)?;
        (host.parse::<Ipv6Addr>().map(IpAddr::V6), port)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, port) = authority.split_at(end);
        (host.parse::<Ipv4Addr>().map(IpAddr::V4), port)
    };
    let port_is_good = match port.strip_prefix(':') {
        Some(number) => number.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    if authority.is_empty() || !port_is_good {
        return Err(not_a_url());
    }
    if !address.is_ok_and(|address| address.is_loopback()) {
        return Err(not_loopback());
    }
    text.parse().map_err(|_| not_a_url())
}

/// The URL as a simulator on this machine serves it: over plain HTTP. The library makes an `https` URL of each
/// host of media that it is told. A build for WhatsApp leaves every URL as it is, and so does a simulator build
/// with every host but a loopback address.
pub(super) fn as_served(url: String) -> String {
    let Some(rest) = url.strip_prefix("https://") else {
        return url;
    };
    let is_here = |uri: http::Uri| {
        let address = uri.host()?.trim_matches(['[', ']']).parse::<IpAddr>();
        Some(address.is_ok_and(|address| address.is_loopback()))
    };
    if cfg!(feature = "simulator") && url.parse().ok().and_then(is_here) == Some(true) {
        return format!("http://{rest}");
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "simulator")]
    fn what_this_machine_serves_is_fetched_without_tls() {
        for there in [
            "127.0.0.1:8430/v/t62/x.enc?auth=a",
            "[::1]:8430/mms/image/x?resume=1",
            "127.8.9.10/",
            // What stands before the sign is a user, here and for what dials.
            "example.org@127.0.0.1:1/",
        ] {
            assert_eq!(
                as_served(format!("https://{there}")),
                format!("http://{there}")
            );
        }
    }

    #[test]
    fn what_another_machine_serves_is_fetched_as_it_is() {
        for url in [
            "https://mmg.whatsapp.net/v/t62/x.enc",
            "https://localhost:8430/",
            "https://127.0.0.1.example.org/",
            "https://127.0.0.1@example.org/",
            "https://127.0.0.1:80@example.org/",
            "https://10.0.0.1/https://127.0.0.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://",
            "https://127.0.0.1 /",
            "http://127.0.0.1:8430/",
            "wss://127.0.0.1:8430/",
        ] {
            assert_eq!(as_served(url.to_owned()), url);
        }
    }

    #[test]
    #[cfg(not(feature = "simulator"))]
    fn a_build_for_whatsapp_never_goes_without_tls() {
        for url in ["https://127.0.0.1:8430/", "https://[::1]/"] {
            assert_eq!(as_served(url.to_owned()), url);
        }
    }

    #[test]
    fn this_machine_is_taken() {
        for good in [
            "ws://127.0.0.1:7667/ws/chat",
            "wss://127.0.0.1",
            "ws://127.8.9.10:1/",
            "ws://[::1]:7667/ws/chat?x=1",
        ] {
            let uri = check_endpoint(good).expect(good);
            // What dials reads the same host in it.
            let host = uri.host().expect("a host").trim_matches(['[', ']']);
            let address: IpAddr = host.parse().expect("an address");
            assert!(address.is_loopback(), "{good}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_so() {
        for bad in [
            "",
            "127.0.0.1:7667",
            "http://127.0.0.1/",
            "ws:/127.0.0.1/",
            "ws://",
            "ws:///ws/chat",
            "ws://::1/",
            "ws://127.0.0.1:99999/",
            "ws://127.0.0.1:80:81/",
            "ws://[::1]x/",
            "ws://[::1/",
            "ws://127.0.0.1 /",
            "not a url",
        ] {
            let refused = check_endpoint(bad);
            assert!(matches!(refused, Err(GatewayError::NotAUrl(_))), "{bad}");
        }
    }

    #[test]
    fn every_other_host_is_refused() {
        for bad in [
            "wss://web.whatsapp.com/ws/chat",
            "ws://10.0.0.1/",
            "ws://0.0.0.0:1/",
            "ws://[::]/",
            "ws://[::ffff:10.0.0.1]/",
            "ws://127.1/",
            "ws://0177.0.0.1/",
            "ws://2130706433/",
            "ws://127.0.0.1.example.org/",
            "ws://localhost:7667",
            "ws://LOCALHOST/",
            "ws://localhost./",
            "ws://user@10.0.0.1/",
            "ws://127.0.0.1@example.org/",
            "ws://127.0.0.1:80@example.org/",
            "ws://example.org\\@127.0.0.1/",
            "ws://example.org#@127.0.0.1/",
        ] {
            let refused = check_endpoint(bad);
            assert!(
                matches!(refused, Err(GatewayError::NotLoopback(_))),
                "{bad}"
            );
        }
    }
}
