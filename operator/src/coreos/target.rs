//! How a target, or a discovery, is asked over HTTP: TLS, credentials, proxies.
//!
//! Values of Secrets and ConfigMaps are written into the configuration, which is a Secret itself.

use crds::coreos::endpoint::{
    Authorization, BasicAuth, HttpClient, OAuth2, ProxyConfig, TlsConfig,
};
use serde_json::{Map, Value, json};

use super::job::Scope;

/// Sets everything of `http` in a job.
///
/// # Errors
/// Where files are named, credentials are missing, or two ways to log in are given.
pub fn set_http(
    job: &mut Map<String, Value>,
    http: &HttpClient,
    scope: &Scope<'_>,
) -> Result<(), String> {
    if let Some(follow) = http.follow_redirects {
        job.insert("follow_redirects".into(), follow.into());
    }
    if let Some(enable) = http.enable_http2 {
        job.insert("enable_http2".into(), enable.into());
    }
    set_login(job, http, scope)?;
    if let Some(tls) = &http.tls_config {
        job.insert("tls_config".into(), tls_config("tlsConfig", tls, scope)?);
    }
    Ok(())
}

fn set_login(
    job: &mut Map<String, Value>,
    http: &HttpClient,
    scope: &Scope<'_>,
) -> Result<(), String> {
    if http
        .bearer_token_file
        .as_ref()
        .is_some_and(|file| !file.is_empty())
    {
        return Err(names_a_file("bearerTokenFile"));
    }
    let bearer = http
        .bearer_token_secret
        .as_ref()
        .filter(|key| !key.name.is_empty());
    let mut ways = Vec::new();
    for (name, given) in [
        ("bearerTokenSecret", bearer.is_some()),
        ("authorization", http.authorization.is_some()),
        ("basicAuth", http.basic_auth.is_some()),
        ("oauth2", http.oauth2.is_some()),
    ] {
        if given {
            ways.push(name);
        }
    }
    if ways.len() > 1 {
        return Err(format!("takes only one of {}", ways.join(", ")));
    }
    if let Some(key) = bearer {
        let token = scope.secret("bearerTokenSecret", key)?;
        job.insert("bearer_token".into(), token.into());
    }
    if let Some(auth) = &http.basic_auth {
        job.insert("basic_auth".into(), basic_auth(auth, scope)?);
    }
    if let Some(auth) = &http.authorization {
        job.insert("authorization".into(), authorization(auth, scope)?);
    }
    if let Some(auth) = &http.oauth2 {
        job.insert("oauth2".into(), oauth2(auth, scope)?);
    }
    Ok(())
}

fn names_a_file(field: &str) -> String {
    format!(
        "{field} names a file of the Prometheus pod, which is not allowed; use the field that names a Secret"
    )
}

fn basic_auth(auth: &BasicAuth, scope: &Scope<'_>) -> Result<Value, String> {
    Ok(json!({
        "username": scope.secret("basicAuth.username", &auth.username)?,
        "password": scope.secret("basicAuth.password", &auth.password)?,
    }))
}

fn authorization(auth: &Authorization, scope: &Scope<'_>) -> Result<Value, String> {
    let scheme = auth.scheme.as_deref().unwrap_or_default().trim();
    let scheme = if scheme.is_empty() { "Bearer" } else { scheme };
    if scheme.eq_ignore_ascii_case("basic") {
        return Err("authorization.type must not be Basic; use basicAuth".to_owned());
    }
    let mut config = json!({ "type": scheme });
    if let Some(key) = &auth.credentials {
        config["credentials"] = scope.secret("authorization.credentials", key)?.into();
    }
    Ok(config)
}

fn oauth2(auth: &OAuth2, scope: &Scope<'_>) -> Result<Value, String> {
    let client = scope
        .either("oauth2.clientId", &auth.client_id)?
        .ok_or("oauth2.clientId names neither a Secret nor a ConfigMap")?;
    if auth.token_url.is_empty() {
        return Err("oauth2.tokenUrl is missing".to_owned());
    }
    let mut config = Map::from_iter([
        ("client_id".to_owned(), Value::from(client)),
        (
            "client_secret".to_owned(),
            scope
                .secret("oauth2.clientSecret", &auth.client_secret)?
                .into(),
        ),
        ("token_url".to_owned(), auth.token_url.as_str().into()),
    ]);
    if !auth.scopes.is_empty() {
        config.insert("scopes".into(), json!(auth.scopes));
    }
    if !auth.endpoint_params.is_empty() {
        config.insert("endpoint_params".into(), json!(auth.endpoint_params));
    }
    set_proxy(&mut config, &auth.proxy, scope)?;
    if let Some(tls) = &auth.tls_config {
        config.insert(
            "tls_config".into(),
            tls_config("oauth2.tlsConfig", tls, scope)?,
        );
    }
    Ok(Value::Object(config))
}

/// TLS towards a target.
///
/// # Errors
/// Where files are named, or what is named is missing.
pub fn tls_config(field: &str, tls: &TlsConfig, scope: &Scope<'_>) -> Result<Value, String> {
    for (name, file) in [
        ("caFile", &tls.ca_file),
        ("certFile", &tls.cert_file),
        ("keyFile", &tls.key_file),
    ] {
        if file.as_ref().is_some_and(|file| !file.is_empty()) {
            return Err(names_a_file(&format!("{field}.{name}")));
        }
    }
    let mut config = Map::new();
    if let Some(skip) = tls.insecure_skip_verify {
        config.insert("insecure_skip_verify".into(), skip.into());
    }
    let cert = scope.either(&format!("{field}.cert"), &tls.cert)?;
    let key = match &tls.key_secret {
        Some(key) => Some(scope.secret(&format!("{field}.keySecret"), key)?),
        None => None,
    };
    if cert.is_some() != key.is_some() {
        return Err(format!("{field} needs both cert and keySecret, or neither"));
    }
    for (name, value) in [
        ("ca", scope.either(&format!("{field}.ca"), &tls.ca)?),
        ("cert", cert),
        ("key", key),
    ] {
        if let Some(value) = value {
            config.insert(name.into(), value.into());
        }
    }
    if let Some(name) = tls.server_name.as_ref().filter(|name| !name.is_empty()) {
        config.insert("server_name".into(), name.as_str().into());
    }
    let versions = [
        ("min_version", &tls.min_version),
        ("max_version", &tls.max_version),
    ];
    for (name, version) in versions {
        let Some(version) = version else { continue };
        if !["TLS10", "TLS11", "TLS12", "TLS13"].contains(&version.as_str()) {
            return Err(format!("{field}: {version:?} is no version such as TLS12"));
        }
        config.insert(name.into(), version.as_str().into());
    }
    if let (Some(least), Some(most)) = (&tls.min_version, &tls.max_version)
        && least > most
    {
        return Err(format!("{field}: minVersion is above maxVersion"));
    }
    Ok(Value::Object(config))
}

/// Sets a proxy.
///
/// # Errors
/// Where a header's Secret is missing, or the fields exclude each other.
pub fn set_proxy(
    job: &mut Map<String, Value>,
    proxy: &ProxyConfig,
    scope: &Scope<'_>,
) -> Result<(), String> {
    let from_environment = proxy.proxy_from_environment == Some(true);
    if from_environment && proxy.proxy_url.is_some() {
        return Err("takes only one of proxyUrl and proxyFromEnvironment".to_owned());
    }
    if from_environment && proxy.no_proxy.is_some() {
        return Err("noProxy has no meaning with proxyFromEnvironment".to_owned());
    }
    if proxy.proxy_url.is_none() && proxy.no_proxy.is_some() {
        return Err("noProxy needs proxyUrl".to_owned());
    }
    if proxy.proxy_url.is_none() && !from_environment && !proxy.proxy_connect_header.is_empty() {
        return Err("proxyConnectHeader needs proxyUrl or proxyFromEnvironment".to_owned());
    }
    if let Some(url) = &proxy.proxy_url {
        if !url.starts_with("http://") && !url.starts_with("https://") && !url.starts_with("socks5")
        {
            return Err(format!("proxyUrl {url:?} has no scheme"));
        }
        job.insert("proxy_url".into(), url.as_str().into());
    }
    if let Some(hosts) = &proxy.no_proxy {
        job.insert("no_proxy".into(), hosts.as_str().into());
    }
    if let Some(wanted) = proxy.proxy_from_environment {
        job.insert("proxy_from_environment".into(), wanted.into());
    }
    if !proxy.proxy_connect_header.is_empty() {
        let mut headers = Map::new();
        for (name, keys) in &proxy.proxy_connect_header {
            let values = keys
                .iter()
                .map(|key| scope.secret(&format!("proxyConnectHeader.{name}"), key))
                .collect::<Result<Vec<_>, _>>()?;
            headers.insert(name.clone(), json!(values));
        }
        job.insert("proxy_connect_header".into(), Value::Object(headers));
    }
    Ok(())
}
