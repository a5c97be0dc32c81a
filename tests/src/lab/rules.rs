//! Packet filter rules of others, as a lab's host may have them.

use super::Lab;

/// What Docker and a careful administrator leave in the filter: nothing is forwarded, and only
/// answers, ping and SSH come in.
const RULES: &str = r#"
table inet filter {
  chain forward { type filter hook forward priority filter; policy drop; }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname "eth0" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname "eth0" tcp dport 22 accept
  }
}
table ip nat {
  chain postrouting { type nat hook postrouting priority srcnat; ip saddr 172.17.0.0/16 oifname != "docker0" masquerade; }
}
"#;

impl Lab {
    /// Loads them on the host: no forwarding at all, a closed input.
    ///
    /// # Panics
    /// If nft refuses them.
    #[track_caller]
    pub fn load_strict_rules(&self) {
        let file = "/run/rules.nft";
        self.world().write(file, RULES).expect("a file");
        self.host().ok(&format!("nft -f {file}"));
    }
}
