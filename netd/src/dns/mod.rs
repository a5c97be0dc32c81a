//! The agent's DNS server: what the BPF program does not answer, and forwarding.
