//! `netd down`: undoes everything that netd made on the host, found by marks and below the run
//! directory, without its state. Goes on after an error and tells all of them.

use std::{path::Path, thread};

use tokio::runtime::Builder;

use super::{
    KernelError, bpf, describe, files,
    netlink::link,
    netns,
    places::{self, Places},
    sysctl,
};
use crate::plan::{Place, observed::LinkKind};

/// What was undone, and what could not be.
#[derive(Debug, Default)]
pub struct Undone {
    /// One line each, for people.
    pub done: Vec<String>,
    /// What is left, and why.
    pub failed: Vec<KernelError>,
}

impl Undone {
    /// Notes how one thing went.
    pub fn note<E: Into<anyhow::Error>>(&mut self, doing: String, result: Result<(), E>) {
        match result {
            Ok(()) => self.done.push(doing),
            Err(source) => self.failed.push(KernelError {
                doing,
                source: source.into(),
            }),
        }
    }
}

/// Undoes everything, in the calling thread's network namespace: links, namespaces, programs and
/// maps, sysctls, sandboxes' files.
pub fn down(run_dir: &Path, bpffs: &Path) -> Undone {
    let mut undone = undo_stack(run_dir);
    if bpffs.exists() {
        let result = bpf::unpin_all(bpffs);
        let doing = format!("detach programs and remove pins below {}", bpffs.display());
        undone.note(doing, result);
    }
    undone
}

/// Undoes what is not BPF's.
pub fn undo_stack(run_dir: &Path) -> Undone {
    let mut undone = Undone::default();
    if let Err(source) = on_a_runtime(links_and_namespaces(run_dir, &mut undone)) {
        undone.failed.push(KernelError {
            doing: "start a runtime to remove netd's interfaces and namespaces".to_owned(),
            source,
        });
    }
    if let Err(source) = sysctls(run_dir, &mut undone) {
        undone.failed.push(KernelError {
            doing: "read netd's note of sysctls".to_owned(),
            source,
        });
    }
    sandbox_files(run_dir, &mut undone);
    undone
}

/// rtnetlink needs a runtime. The command has none, and within the agent's own one cannot wait for
/// another: so a small one, on a thread of its own, which is in its maker's namespaces.
fn on_a_runtime(future: impl Future<Output = ()> + Send) -> Result<(), anyhow::Error> {
    thread::scope(|scope| {
        let waiting = thread::Builder::new().spawn_scoped(scope, || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(future);
            Ok(())
        })?;
        let panicked = |_| anyhow::anyhow!("a thread panicked");
        waiting.join().map_err(panicked)?
    })
}

async fn links_and_namespaces(run_dir: &Path, undone: &mut Undone) {
    let mut places = Places::new(run_dir);
    if let Err(source) = links(&mut places, undone).await {
        undone.failed.push(KernelError {
            doing: "list netd's interfaces".to_owned(),
            source,
        });
    }
    if let Err(source) = namespaces(run_dir, &mut places, undone) {
        undone.failed.push(KernelError {
            doing: "list netd's namespaces".to_owned(),
            source,
        });
    }
}

async fn links(places: &mut Places, undone: &mut Undone) -> Result<(), anyhow::Error> {
    for place in places.list()? {
        inside(place, places, undone).await?;
    }
    let socket = places.host()?;
    let mut links = link::list(&socket).await?;
    links.retain(|link| link.ours);
    // Ports before their bridge: it would only have to let go of each.
    links.sort_by_key(|link| (link.kind == LinkKind::Bridge, link.ifindex));
    for link in links {
        let result = link::delete(&socket, link.ifindex).await;
        undone.note(format!("delete interface {}", link.name), result);
    }
    Ok(())
}

/// Macvlan interfaces: nothing of them is on the host, and a namespace that was joined stays.
async fn inside(
    place: Place,
    places: &mut Places,
    undone: &mut Undone,
) -> Result<(), anyhow::Error> {
    let Some(socket) = places.find(place)? else {
        return Ok(());
    };
    for link in link::list(&socket).await? {
        if link.ours && matches!(link.kind, LinkKind::Macvlan(_)) {
            let result = link::delete(&socket, link.ifindex).await;
            let place = describe::place(place);
            undone.note(format!("delete interface {} in {place}", link.name), result);
        }
    }
    Ok(())
}

fn namespaces(
    run_dir: &Path,
    places: &mut Places,
    undone: &mut Undone,
) -> Result<(), anyhow::Error> {
    let directory = places::directory(run_dir);
    if !directory.exists() {
        return Ok(());
    }
    for place in places.list()? {
        let result = places.remove(place);
        undone.note(
            format!("remove the namespace of {}", describe::place(place)),
            result,
        );
    }
    if undone.failed.is_empty()
        && let Err(error) = netns::remove_directory(&directory)
    {
        let doing = format!("remove {}", directory.display());
        undone.note(doing, Err::<(), _>(error));
    }
    Ok(())
}

fn sysctls(run_dir: &Path, undone: &mut Undone) -> Result<(), anyhow::Error> {
    let mut kept = false;
    for (key, change) in sysctl::changes(run_dir)? {
        let doing = format!("set sysctl {key} back to {}", change.former);
        match sysctl::restore(&key, &change) {
            Ok(true) => undone.done.push(doing),
            Ok(false) => {}
            Err(source) => {
                kept = true;
                undone.failed.push(KernelError { doing, source });
            }
        }
    }
    if !kept {
        sysctl::forget(run_dir)?;
    }
    Ok(())
}

fn sandbox_files(run_dir: &Path, undone: &mut Undone) {
    let directory = files::directory(run_dir);
    if directory.exists() {
        let result = std::fs::remove_dir_all(&directory);
        undone.note(format!("remove {}", directory.display()), result);
    }
}
