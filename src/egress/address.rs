//! Which addresses are public. Everything that is not is refused; the allow list of the configuration opens exceptions.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Whether an address is on the public internet, judged by the registries of special-purpose addresses (RFC 6890 and
/// its successors). Addresses that carry another one (mapped, translated, 6to4) are judged by what they carry.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = a == 0
        || a == 10
        || a == 127
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT
        || (a == 169 && b == 254) // link-local and metadata
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 192 && b == 168)
        || (a == 198 && (b == 18 || b == 19)) // benchmarks
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 224; // multicast, reserved, broadcast
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // The well-known prefix for translation carries an IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        // 6to4 carries the address of its relay.
        [0x2002, high, low, ..] => embedded(high, low),
        // ISATAP: an IPv4 address behind 0:5efe.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => false,
        // ::/8 holds unspecified, loopback, mapped and compatible addresses.
        [first, ..] if first < 0x100 => false,
        // Teredo, benchmarks, ORCHID, documentation.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only 2000::/3 is global unicast; the rest is local, multicast or reserved.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// What the configuration opens although it is not public.
#[derive(Debug, Clone, Default)]
pub struct AllowList(Vec<AllowEntry>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowEntry {
    Network(IpNet),
    Host { name: String, port: Option<u16> },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither a network such as 10.0.0.0/8 nor a host such as intranet:8080")]
pub struct InvalidAllowEntry(String);

impl FromStr for AllowEntry {
    type Err = InvalidAllowEntry;

    fn from_str(text: &str) -> Result<Self, InvalidAllowEntry> {
        let invalid = || InvalidAllowEntry(text.to_owned());
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Network(ip.into()));
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(invalid());
        }
        Ok(Self::Host { name: name.to_ascii_lowercase(), port })
    }
}

impl AllowList {
    pub fn new(entries: Vec<AllowEntry>) -> Self {
        Self(entries)
    }

    pub(super) fn allows_address(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|entry| matches!(entry, AllowEntry::Network(network) if network.contains(&ip)))
    }

    /// A host that is open on some port; which one is checked where the port is known.
    pub(super) fn allows_host_on_any_port(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|entry| matches!(entry, AllowEntry::Host { name, .. } if *name == host))
    }

    /// A host by its name, whatever it resolves to.
    pub(super) fn allows_host(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|entry| match entry {
            AllowEntry::Host { name, port: only } => *name == host && only.is_none_or(|only| only == port),
            AllowEntry::Network(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_pass() {
        for ip in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1", "172.32.0.1"] {
            assert!(is_public(ip.parse().expect(ip)), "{ip}");
        }
    }

    #[test]
    fn everything_else_is_refused_in_every_form() {
        for ip in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "2001:2::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2606:4700::5efe:7f00:1",
            "2606:4700::200:5efe:7f00:1",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!is_public(ip.parse().expect(ip)), "{ip}");
        }
    }

    #[test]
    fn the_allow_list_opens_networks_and_hosts_and_nothing_else() {
        let entries = ["10.0.0.0/8", "127.0.0.1", "intranet:8080", "Relay.local"].map(|e| e.parse().expect(e));
        let list = AllowList::new(entries.to_vec());
        assert!(list.allows_address("10.200.0.1".parse().expect("ip")));
        assert!(list.allows_address("127.0.0.1".parse().expect("ip")));
        assert!(!list.allows_address("127.0.0.2".parse().expect("ip")));
        assert!(list.allows_host("INTRANET.", 8080));
        assert!(!list.allows_host("intranet", 80));
        assert!(list.allows_host("relay.local", 1));
        assert!("no spaces".parse::<AllowEntry>().is_err());
        assert!("host:99999".parse::<AllowEntry>().is_err());
    }
}
