//! The API's description, generated from the types and paths that serve it. `docs/api.json` is a
//! copy, which a test keeps current.

use utoipa::OpenApi;

use super::{
    drop_events, error, events, network_request, network_shape, prune_request, reports, routes,
    sandbox_request, sandbox_shape,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "netd",
        description = "Container networking with eBPF, over RUN_DIR/netd.sock. \
        Within /v1 there are only additions; unknown request fields are refused."
    ),
    paths(
        routes::version,
        routes::status,
        events::events,
        routes::down,
        routes::networks,
        routes::create_network,
        routes::network,
        routes::remove_network,
        routes::prune_networks,
        routes::connect,
        routes::disconnect,
        routes::sandboxes,
        routes::brief_sandboxes,
        routes::create_sandbox,
        routes::sandbox,
        routes::remove_sandbox,
        routes::ports,
        routes::environment,
        routes::publish,
        routes::unpublish,
        routes::endpoint,
        routes::flows,
        routes::flush_flows,
        routes::drops,
        drop_events::drop_events,
    ),
    components(schemas(
        error::ApiError,
        error::Code,
        network_request::NetworkCreate,
        network_request::ConnectRequest,
        network_request::DisconnectRequest,
        prune_request::PruneRequest,
        sandbox_request::SandboxCreate,
        sandbox_request::PublishRequest,
        sandbox_request::UnpublishRequest,
        network_shape::NetworkShape,
        sandbox_shape::SandboxShape,
        reports::Created,
        reports::Done,
    ))
)]
struct Description;

/// OpenAPI 3.1 as JSON, ending with a newline.
pub fn json() -> Result<String, serde_json::Error> {
    let description = Description::openapi();
    let mut text = serde_json::to_string_pretty(&description)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    #[test]
    fn the_copy_in_docs_is_current() {
        let current = super::json().unwrap();
        expect_file!["../../../../docs/api.json"].assert_eq(&current);
    }
}
