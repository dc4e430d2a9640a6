//! The address of a simulator. A build with the feature `simulator` does not check WhatsApp's
//! certificate, so it must never talk to anything but this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// Takes an endpoint if it is a WebSocket URL of this machine.
pub(super) fn parse(text: &str) -> Result<String, String> {
    check(text, |host| {
        let found = (host, 0).to_socket_addrs();
        found.map(|addresses| addresses.map(|a| a.ip()).collect())
    })?;
    Ok(text.to_owned())
}

fn check(
    text: &str,
    resolve: impl FnOnce(&str) -> std::io::Result<Vec<IpAddr>>,
) -> Result<(), String> {
    let refused = |why: &str| {
        format!(
            "{text:?} is refused: {why}. A simulator build does not check WhatsApp's certificate, so \
             it talks to this machine only, like \"ws://127.0.0.1:7667/ws/chat\""
        )
    };
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| refused("it is not a URL"))?;
    if !matches!(scheme, "ws" | "wss") {
        return Err(refused("its scheme is neither ws nor wss"));
    }
    // What another parser might read as the end of the authority, or as its beginning, must not
    // hide a different host.
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || "\\@#".contains(c)) {
        return Err(refused("it has a character that could hide another host"));
    }
    let authority = rest.split(['/', '?']).next().unwrap_or("");
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => v6
            .split_once(']')
            .ok_or_else(|| refused("its host is not an address"))?,
        None => match authority.find(':') {
            Some(colon) => authority.split_at(colon),
            None => (authority, ""),
        },
    };
    let port_is_good = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|p| p.parse::<u16>().is_ok());
    if !port_is_good {
        return Err(refused("its port is not a number up to 65535"));
    }
    let literal = if authority.starts_with('[') {
        host.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    };
    match literal {
        Some(address) if address.is_loopback() => return Ok(()),
        None if host.eq_ignore_ascii_case("localhost") => {}
        _ => return Err(refused("its host is not this machine")),
    }
    // A hosts file can point the name elsewhere.
    let addresses =
        resolve(host).map_err(|e| refused(&format!("localhost is not known here ({e})")))?;
    if !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback) {
        Ok(())
    } else {
        Err(refused("localhost is not this machine here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_localhost_at(text: &str, address: &str) -> Result<(), String> {
        check(text, |_| Ok(vec![address.parse().expect("an address")]))
    }

    #[test]
    fn this_machine_is_taken() {
        for good in [
            "ws://127.0.0.1:7667/ws/chat",
            "wss://127.0.0.1",
            "ws://127.8.9.10:1/",
            "ws://[::1]:7667/ws/chat?x=1",
            "ws://localhost:7667",
            "ws://LOCALHOST/",
        ] {
            assert_eq!(with_localhost_at(good, "127.0.0.1"), Ok(()), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "127.0.0.1:7667",
            "http://127.0.0.1/",
            "ws:/127.0.0.1/",
            "ws://",
            "ws:///ws/chat",
            "ws://web.whatsapp.com/ws/chat",
            "ws://10.0.0.1/",
            "ws://0.0.0.0/",
            "ws://[::]/",
            "ws://[::ffff:10.0.0.1]/",
            "ws://::1/",
            "ws://127.1/",
            "ws://0177.0.0.1/",
            "ws://2130706433/",
            "ws://127.0.0.1.example.org/",
            "ws://localhost.example.org/",
            "ws://localhost./",
            "ws://127.0.0.1@example.org/",
            "ws://127.0.0.1:80@example.org/",
            "ws://example.org\\@127.0.0.1/",
            "ws://example.org#@127.0.0.1/",
            "ws://127.0.0.1:99999/",
            "ws://127.0.0.1:80:81/",
            "ws://[::1]x/",
            "ws://127.0.0.1 /",
        ] {
            assert!(with_localhost_at(bad, "127.0.0.1").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_localhost_elsewhere_is_refused() {
        assert!(with_localhost_at("ws://localhost/", "10.0.0.1").is_err());
        assert!(check("ws://localhost/", |_| Ok(Vec::new())).is_err());
    }
}
