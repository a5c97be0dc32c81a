//! Links on the default network: made with a sandbox, to one that is there; gone with either. Who is
//! linked to whom, and what a link tells. Links of networks with names are in `names`.

use std::collections::BTreeSet;

use netd_common::limits::MAX_LINK_RANGES;

use super::{
    Refusal,
    apply::{Draft, own},
    table::State,
};
use crate::model::{
    Endpoint, ExposedPorts, Id, Name, Sandbox,
    endpoint::Link,
    network::Owner,
    sandbox::{Mode, SandboxLink},
};

impl Draft<'_, '_> {
    /// The links that were asked for, each to its sandbox as it is now. An alias that is taken is
    /// ignored with a warning, as in Docker.
    pub(super) fn resolve_links(
        &self,
        links: &[Link],
        owner: Owner,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<SandboxLink>, Refusal> {
        let mut found: Vec<SandboxLink> = Vec::new();
        for Link { target, alias } in links {
            let sandbox = match self.state.find_sandbox(target.as_str(), owner) {
                Err(Refusal::NoSuchSandbox(name)) => return Err(Refusal::NoSuchLinked(name)),
                found => found?,
            };
            own(sandbox.name.as_str(), sandbox.owner, owner)?;
            if sandbox.mode == Mode::Host {
                return Err(Refusal::Invalid(
                    "conflicting options: host type networking can't be used with links. This \
                     would result in undefined behavior"
                        .to_owned(),
                ));
            }
            if self.state.default_endpoint(sandbox.id).is_none() {
                return Err(Refusal::NotOnDefault(sandbox.id));
            }
            if sandbox.exposed.len() > MAX_LINK_RANGES {
                return Err(Refusal::Limit {
                    what: "ranges of exposed ports of a linked sandbox",
                    limit: MAX_LINK_RANGES as u32,
                });
            }
            if found.iter().any(|link| link.alias == *alias) {
                warnings.push(format!(
                    "Link {target}:{alias} is ignored: the alias is in use"
                ));
                continue;
            }
            found.push(SandboxLink {
                target: sandbox.id,
                alias: alias.clone(),
            });
        }
        Ok(found)
    }

    /// Ends the links to a sandbox that goes.
    pub(super) fn drop_links_to(&mut self, target: Id) {
        for id in self.state.linking(target) {
            let Some(mut sandbox) = self.state.sandbox(id).cloned() else {
                continue;
            };
            sandbox.links.retain(|link| link.target != target);
            // A record with fewer links contradicts nothing.
            let _ = self.put_sandbox(sandbox);
        }
    }
}

impl State {
    /// A sandbox's endpoint on the default network.
    pub fn default_endpoint(&self, sandbox: Id) -> Option<&Endpoint> {
        self.endpoint_between(self.default_network()?.id, sandbox)
    }

    /// The sandboxes that link to one.
    pub fn linking(&self, target: Id) -> BTreeSet<Id> {
        let linking = self.index.linking.get(&target);
        linking.cloned().unwrap_or_default()
    }

    /// The sandboxes that one links to, and those that link to it.
    pub fn link_peers(&self, sandbox: Id) -> BTreeSet<Id> {
        let mut peers = self.linking(sandbox);
        let links = self.sandbox(sandbox).into_iter().flat_map(|s| &s.links);
        peers.extend(links.map(|link| link.target));
        peers
    }

    /// A sandbox's links that lead somewhere now: both are on the default network. With the linked
    /// sandbox and its endpoint there.
    pub fn live_links<'a>(
        &'a self,
        sandbox: &'a Sandbox,
    ) -> impl Iterator<Item = (&'a Name, &'a Sandbox, &'a Endpoint)> {
        let links = match self.default_endpoint(sandbox.id) {
            Some(_) => sandbox.links.as_slice(),
            None => &[],
        };
        links.iter().filter_map(|link| {
            let target = self.sandbox(link.target)?;
            Some((&link.alias, target, self.default_endpoint(target.id)?))
        })
    }

    /// Whether `from` has a live link to `to`.
    pub fn is_linked(&self, from: &Sandbox, to: Id) -> bool {
        self.live_links(from).any(|(_, target, _)| target.id == to)
    }

    /// The variables that a sandbox's commands get: of its links, as Docker names them, then its own.
    pub fn environment(&self, id: Id) -> Vec<(String, String)> {
        let Some(sandbox) = self.sandbox(id) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (alias, target, endpoint) in self.live_links(sandbox) {
            let address = match (endpoint.v4(), endpoint.v6()) {
                (Some(v4), _) => v4.to_string(),
                (None, Some(v6)) => format!("[{v6}]"),
                (None, None) => continue,
            };
            link_variables(&sandbox.name, alias, &address, target, &mut all);
        }
        all.extend(sandbox.env.iter().cloned());
        all
    }
}

/// What one link tells (`ALIAS_PORT…`, `ALIAS_NAME`, `ALIAS_ENV_…`), in Docker's order.
fn link_variables(
    own_name: &Name,
    alias: &Name,
    address: &str,
    target: &Sandbox,
    into: &mut Vec<(String, String)>,
) {
    let prefix = alias.as_str().to_ascii_uppercase().replace('-', "_");
    let mut put = |name: String, value: String| into.push((format!("{prefix}_{name}"), value));
    let ports = single_ports(&target.exposed);
    if let Some((port, protocol)) = ports.first() {
        put("PORT".to_owned(), format!("{protocol}://{address}:{port}"));
    }
    let mut i = 0;
    while let Some((first, protocol)) = ports.get(i) {
        let end = run_end(&ports, i);
        let Some((last, last_protocol)) = ports.get(end).filter(|_| end > i + 1) else {
            i += 1;
            continue;
        };
        let base = format!("PORT_{first}_{}", protocol.to_ascii_uppercase());
        put(
            format!("{base}_START"),
            format!("{protocol}://{address}:{first}"),
        );
        put(format!("{base}_ADDR"), address.to_owned());
        put(format!("{base}_PROTO"), (*protocol).to_owned());
        put(format!("{base}_PORT_START"), first.to_string());
        let base = format!("PORT_{first}_{}", last_protocol.to_ascii_uppercase());
        put(
            format!("{base}_END"),
            format!("{last_protocol}://{address}:{last}"),
        );
        put(format!("{base}_PORT_END"), last.to_string());
        i = end + 1;
    }
    for (port, protocol) in &ports {
        let base = format!("PORT_{port}_{}", protocol.to_ascii_uppercase());
        put(base.clone(), format!("{protocol}://{address}:{port}"));
        put(format!("{base}_ADDR"), address.to_owned());
        put(format!("{base}_PORT"), port.to_string());
        put(format!("{base}_PROTO"), (*protocol).to_owned());
    }
    put("NAME".to_owned(), format!("/{own_name}/{alias}"));
    for (name, value) in &target.env {
        // As in Docker: they say nothing about what is served.
        if name != "HOME" && name != "PATH" {
            put(format!("ENV_{name}"), value.clone());
        }
    }
}

/// Each exposed port alone, by number; TCP first where two protocols share one.
fn single_ports(exposed: &[ExposedPorts]) -> Vec<(u16, &'static str)> {
    let all = exposed.iter().flat_map(|ports| {
        let range = ports.range.first..=ports.range.last;
        range.map(|port| (port, ports.protocol))
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all.into_iter()
        .map(|(port, protocol)| (port, protocol.name()))
        .collect()
}

/// Where the run that begins at `start` ends: each number at most as much above the first as its
/// place. Docker counts so, and a port with two protocols stretches its run.
fn run_end(ports: &[(u16, &'static str)], start: usize) -> usize {
    let first = ports.get(start).map_or(0, |(port, _)| usize::from(*port));
    let mut end = start;
    while let Some((port, _)) = ports.get(end + 1)
        && usize::from(*port) <= first + (end + 1 - start)
    {
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::run_end;

    #[test]
    fn runs_are_counted_as_docker_counts_them() {
        let ports = |numbers: &[u16]| numbers.iter().map(|n| (*n, "tcp")).collect::<Vec<_>>();
        assert_eq!(run_end(&ports(&[53, 80, 81]), 0), 0);
        assert_eq!(run_end(&ports(&[53, 80, 81]), 1), 2);
        assert_eq!(run_end(&ports(&[80, 81, 82, 84]), 0), 2);
        assert_eq!(run_end(&ports(&[53, 53, 54, 56]), 0), 3);
        assert_eq!(run_end(&ports(&[65_535]), 0), 0);
    }
}
