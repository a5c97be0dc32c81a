//! The paths of `/v1` and what each asks the agent's task. No path does more than translate.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{get, post},
};

use super::{
    ApiError, Code,
    door::{Call, Door, Wish},
    drop_events::drop_events,
    endpoint_object::EndpointObject,
    events::events,
    input::{Body, Dangling, Force, Parameters},
    network_request::{ConnectRequest, DisconnectRequest, NetworkCreate},
    network_shape::NetworkShape,
    prune_request::PruneRequest,
    reports::{
        Created, Done, DownReport, DownRequest, DropList, EnvReport, FlowList, Flushed,
        NetworkList, PortList, Pruned, Published, PublishedPortReport, SandboxList, StatusReport,
        VersionReport,
    },
    sandbox_brief::BriefList,
    sandbox_request::{PublishRequest, SandboxCreate, UnpublishRequest},
    sandbox_shape::SandboxShape,
    timing::Timing,
};
use crate::{
    model::{Network, network::Owner},
    state::{
        Reply, Request,
        view::{NetworkView, PortView},
    },
};

type Answered<T> = Result<Json<T>, ApiError>;
type Changed<T> = Result<(Timing, Json<T>), ApiError>;
type Made = Result<(StatusCode, Timing, Json<Created>), ApiError>;

/// All paths.
pub fn router(door: Door) -> Router {
    let v1 = Router::new()
        .route("/version", get(version))
        .route("/status", get(status))
        .route("/networks", get(networks).post(create_network))
        .route("/networks/prune", post(prune_networks))
        .route("/networks/{name}", get(network).delete(remove_network))
        .route("/networks/{name}/connect", post(connect))
        .route("/networks/{name}/disconnect", post(disconnect))
        .route("/sandboxes", get(sandboxes).post(create_sandbox))
        .route("/lists/sandboxes", get(brief_sandboxes))
        .route("/sandboxes/{name}", get(sandbox).delete(remove_sandbox))
        .route(
            "/sandboxes/{name}/ports",
            get(ports).post(publish).delete(unpublish),
        )
        .route("/sandboxes/{name}/env", get(environment))
        .route("/endpoints/{id}", get(endpoint))
        .route("/events", get(events))
        .route("/flows", get(flows).delete(flush_flows))
        .route("/drops", get(drops))
        .route("/drops/events", get(drop_events))
        .route("/down", post(down));
    Router::new()
        .nest("/v1", v1)
        .fallback(async || ApiError::new(Code::NoSuchPath, "no such path").hint("docs/api.md"))
        .method_not_allowed_fallback(async || {
            ApiError::new(Code::BadMethod, "this path does not take this method")
        })
        .with_state(door)
}

/// Which versions are served
#[utoipa::path(get, path = "/v1/version", tag = "agent",
    responses((status = 200, body = VersionReport)))]
pub async fn version(State(door): State<Door>) -> Json<VersionReport> {
    Json(door.version)
}

/// How agent and datapath are
#[utoipa::path(get, path = "/v1/status", tag = "agent",
    responses((status = 200, body = StatusReport), (status = "default", body = ApiError)))]
pub async fn status(State(door): State<Door>) -> Answered<StatusReport> {
    door.status().await.map(Json)
}

/// All networks, without what is connected to them
#[utoipa::path(get, path = "/v1/networks", tag = "networks",
    params(("dangling" = Option<bool>, Query, description = "Only those that nothing is connected to (predefined ones excepted), or only the others")),
    responses((status = 200, body = NetworkList), (status = "default", body = ApiError)))]
pub async fn networks(
    State(door): State<Door>,
    Parameters(Dangling { dangling }): Parameters<Dangling>,
) -> Answered<NetworkList> {
    let bare = |network: &Network| {
        NetworkShape::new(&NetworkView {
            network: network.clone(),
            endpoints: Vec::new(),
            members: Vec::new(),
            usage: Vec::new(),
        })
    };
    let list = door.look(|state| {
        let wanted =
            |network: &&Network| dangling.is_none_or(|is| state.is_dangling(network) == is);
        let networks = state.networks().filter(wanted);
        let mut networks: Vec<NetworkShape> = networks.map(bare).collect();
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        NetworkList {
            revision: state.revision(),
            networks,
        }
    });
    Ok(Json(list))
}

/// Makes a network
#[utoipa::path(post, path = "/v1/networks", tag = "networks", request_body = NetworkCreate,
    responses((status = 201, body = Created), (status = "default", body = ApiError)))]
pub async fn create_network(State(door): State<Door>, Body(mut body): Body<NetworkCreate>) -> Made {
    let text = canonical(&body)?;
    if let Some(name) = &body.config_from
        && !body.config_only
    {
        let config = door.look(|state| state.find_config(name))?;
        body.config_from = Some(config.name.to_string());
        body.fill_from(&config)?;
    }
    let spec = body.check()?;
    let given = spec.id.map(|id| (id, text));
    let request = Request::NetworkCreate(spec);
    created(
        &door,
        Wish {
            given,
            ..Wish::new(request)
        },
    )
    .await
}

/// A network with what is connected to it
#[utoipa::path(get, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = NetworkShape), (status = "default", body = ApiError)))]
pub async fn network(State(door): State<Door>, Path(name): Path<String>) -> Answered<NetworkShape> {
    let view = door.find(|state| state.inspect_network(&name))?;
    Ok(Json(NetworkShape::inspected(&view)))
}

/// Removes a network that nothing is connected to
#[utoipa::path(delete, path = "/v1/networks/{name}", tag = "networks",
    params(("name" = String, Path, description = "Name, id or id prefix"),
           ("force" = Option<bool>, Query, description = "No error where there is none")),
    responses((status = 200, body = Done), (status = "default", body = ApiError)))]
pub async fn remove_network(
    State(door): State<Door>,
    Path(network): Path<String>,
    Parameters(Force { force }): Parameters<Force>,
) -> Changed<Done> {
    done(&door, Request::NetworkRemove { network, force }).await
}

/// Removes networks that nothing is connected to
#[utoipa::path(post, path = "/v1/networks/prune", tag = "networks", request_body = PruneRequest,
    responses((status = 200, body = Pruned), (status = "default", body = ApiError)))]
pub async fn prune_networks(
    State(door): State<Door>,
    Body(body): Body<PruneRequest>,
) -> Changed<Pruned> {
    let wish = Wish::new(Request::NetworkPrune(body.check()));
    let (reply, timing) = door.change(wish).await?;
    let networks = match reply {
        Reply::Pruned(names) => names.iter().map(ToString::to_string).collect(),
        Reply::Created { .. } | Reply::Published { .. } | Reply::Done => Vec::new(),
    };
    Ok((timing, Json(Pruned { networks })))
}

/// Connects a sandbox
#[utoipa::path(post, path = "/v1/networks/{name}/connect", tag = "networks", request_body = ConnectRequest,
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = Done), (status = "default", body = ApiError)))]
pub async fn connect(
    State(door): State<Door>,
    Path(network): Path<String>,
    Body(ConnectRequest { sandbox, endpoint }): Body<ConnectRequest>,
) -> Changed<Done> {
    let endpoint = endpoint.check()?;
    done(
        &door,
        Request::Connect {
            network,
            sandbox,
            endpoint,
        },
    )
    .await
}

/// Disconnects a sandbox
#[utoipa::path(post, path = "/v1/networks/{name}/disconnect", tag = "networks", request_body = DisconnectRequest,
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = Done), (status = "default", body = ApiError)))]
pub async fn disconnect(
    State(door): State<Door>,
    Path(network): Path<String>,
    Body(DisconnectRequest { sandbox, force }): Body<DisconnectRequest>,
) -> Changed<Done> {
    done(
        &door,
        Request::Disconnect {
            network,
            sandbox,
            force,
        },
    )
    .await
}

/// All sandboxes
#[utoipa::path(get, path = "/v1/sandboxes", tag = "sandboxes",
    responses((status = 200, body = SandboxList), (status = "default", body = ApiError)))]
pub async fn sandboxes(State(door): State<Door>) -> Answered<SandboxList> {
    let (revision, views) = door.look(|state| (state.revision(), state.list_sandboxes()));
    let shape = |view| SandboxShape::new(view, &door.run_dir);
    Ok(Json(SandboxList {
        revision,
        sandboxes: views.iter().map(shape).collect(),
    }))
}

/// All sandboxes, as far as lists show them
#[utoipa::path(get, path = "/v1/lists/sandboxes", tag = "sandboxes",
    responses((status = 200, body = BriefList), (status = "default", body = ApiError)))]
pub async fn brief_sandboxes(State(door): State<Door>) -> Answered<BriefList<'static>> {
    Ok(Json(door.look(BriefList::of)))
}

/// Makes a sandbox
#[utoipa::path(post, path = "/v1/sandboxes", tag = "sandboxes", request_body = SandboxCreate,
    responses((status = 201, body = Created), (status = "default", body = ApiError)))]
pub async fn create_sandbox(State(door): State<Door>, Body(body): Body<SandboxCreate>) -> Made {
    let text = canonical(&body)?;
    let (spec, namespace) = body.check()?;
    let wish = Wish {
        given: spec.id.map(|id| (id, text)),
        namespace,
        request: Request::SandboxCreate(Box::new(spec)),
    };
    created(&door, wish).await
}

/// A sandbox
#[utoipa::path(get, path = "/v1/sandboxes/{name}", tag = "sandboxes",
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = SandboxShape), (status = "default", body = ApiError)))]
pub async fn sandbox(State(door): State<Door>, Path(name): Path<String>) -> Answered<SandboxShape> {
    let view = door.find(|state| state.inspect_sandbox(&name))?;
    Ok(Json(SandboxShape::new(&view, &door.run_dir)))
}

/// Removes a sandbox
#[utoipa::path(delete, path = "/v1/sandboxes/{name}", tag = "sandboxes",
    params(("name" = String, Path, description = "Name, id or id prefix"),
           ("force" = Option<bool>, Query, description = "No error where there is none")),
    responses((status = 200, body = Done), (status = "default", body = ApiError)))]
pub async fn remove_sandbox(
    State(door): State<Door>,
    Path(sandbox): Path<String>,
    Parameters(Force { force }): Parameters<Force>,
) -> Changed<Done> {
    done(&door, Request::SandboxRemove { sandbox, force }).await
}

/// Published ports of a sandbox, a range as one entry
#[utoipa::path(get, path = "/v1/sandboxes/{name}/ports", tag = "sandboxes",
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = PortList), (status = "default", body = ApiError)))]
pub async fn ports(State(door): State<Door>, Path(name): Path<String>) -> Answered<PortList> {
    let (revision, view) =
        door.find(|state| Ok((state.revision(), state.inspect_sandbox(&name)?)))?;
    let report = |view: &PortView| PublishedPortReport {
        host_address: view.port.host_address.to_string(),
        host: (view.port.host.first, view.port.host.last),
        target: (view.port.target.first, view.port.target.last),
        protocol: view.port.protocol.name().to_owned(),
        published: view.target.is_some(),
    };
    let ports = view.ports.iter().map(report).collect();
    Ok(Json(PortList { revision, ports }))
}

/// The variables of a sandbox: what its links tell, then its own
#[utoipa::path(get, path = "/v1/sandboxes/{name}/env", tag = "sandboxes",
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = EnvReport), (status = "default", body = ApiError)))]
pub async fn environment(
    State(door): State<Door>,
    Path(name): Path<String>,
) -> Answered<EnvReport> {
    let variables = door.find(|state| {
        let id = state.find_sandbox(&name, Owner::Netd)?.id;
        Ok(state.environment(id))
    })?;
    let text = |(name, value)| format!("{name}={value}");
    let env = variables.into_iter().map(text).collect();
    Ok(Json(EnvReport { env }))
}

/// Publishes ports of a sandbox, which may be running
#[utoipa::path(post, path = "/v1/sandboxes/{name}/ports", tag = "sandboxes", request_body = PublishRequest,
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = Published), (status = "default", body = ApiError)))]
pub async fn publish(
    State(door): State<Door>,
    Path(sandbox): Path<String>,
    Body(body): Body<PublishRequest>,
) -> Changed<Published> {
    let ports = body.check()?;
    let wish = Wish::new(Request::Publish { sandbox, ports });
    let (reply, timing) = door.change(wish).await?;
    let warnings = match reply {
        Reply::Published { warnings } => warnings,
        Reply::Created { .. } | Reply::Done | Reply::Pruned(_) => Vec::new(),
    };
    Ok((timing, Json(Published { warnings })))
}

/// Unpublishes ports of a sandbox and ends the flows to them
#[utoipa::path(delete, path = "/v1/sandboxes/{name}/ports", tag = "sandboxes", request_body = UnpublishRequest,
    params(("name" = String, Path, description = "Name, id or id prefix")),
    responses((status = 200, body = Done), (status = "default", body = ApiError)))]
pub async fn unpublish(
    State(door): State<Door>,
    Path(sandbox): Path<String>,
    Body(body): Body<UnpublishRequest>,
) -> Changed<Done> {
    let ports = body.check()?;
    done(&door, Request::Unpublish { sandbox, ports }).await
}

/// A connection by itself
#[utoipa::path(get, path = "/v1/endpoints/{id}", tag = "networks",
    params(("id" = String, Path, description = "Id or id prefix")),
    responses((status = 200, body = EndpointObject), (status = "default", body = ApiError)))]
pub async fn endpoint(
    State(door): State<Door>,
    Path(id): Path<String>,
) -> Answered<EndpointObject> {
    let view = door.find(|state| state.inspect_endpoint(&id))?;
    Ok(Json(EndpointObject::new(&view)))
}

/// The flow table
#[utoipa::path(get, path = "/v1/flows", tag = "datapath",
    responses((status = 200, body = FlowList), (status = "default", body = ApiError)))]
pub async fn flows(State(door): State<Door>) -> Result<impl IntoResponse, ApiError> {
    let text = door.flows().await?;
    Ok(([(CONTENT_TYPE, "application/json")], text))
}

/// Empties the flow table
#[utoipa::path(delete, path = "/v1/flows", tag = "datapath",
    responses((status = 200, body = Flushed), (status = "default", body = ApiError)))]
pub async fn flush_flows(State(door): State<Door>) -> Answered<Flushed> {
    door.ask(Call::FlushFlows).await.map(Json)
}

/// Drop counters
#[utoipa::path(get, path = "/v1/drops", tag = "datapath",
    responses((status = 200, body = DropList), (status = "default", body = ApiError)))]
pub async fn drops(State(door): State<Door>) -> Answered<DropList> {
    door.drops().await.map(Json)
}

/// Undoes everything that netd made on the host; the agent ends
#[utoipa::path(post, path = "/v1/down", tag = "agent", request_body = DownRequest,
    responses((status = 200, body = DownReport), (status = "default", body = ApiError)))]
pub async fn down(
    State(door): State<Door>,
    Body(request): Body<DownRequest>,
) -> Answered<DownReport> {
    door.ask(|answer| Call::Down(request, answer))
        .await
        .map(Json)
}

/// A body as it is compared with a later one of the same id: defaults filled in, keys in order.
fn canonical<T: serde::Serialize>(body: &T) -> Result<String, ApiError> {
    serde_json::to_string(body).map_err(|error| ApiError::bad(error.to_string()))
}

async fn created(door: &Door, wish: Wish) -> Made {
    let (reply, timing) = door.change(wish).await?;
    match reply {
        Reply::Created { id, warnings } => {
            let id = id.to_string();
            let body = Json(Created { id, warnings });
            Ok((StatusCode::CREATED, timing, body))
        }
        Reply::Done | Reply::Published { .. } | Reply::Pruned(_) => Err(ApiError::new(
            Code::HostFailure,
            "the agent made an object without an id",
        )),
    }
}

async fn done(door: &Door, request: Request) -> Changed<Done> {
    let (_, timing) = door.change(Wish::new(request)).await?;
    Ok((timing, Json(Done {})))
}
