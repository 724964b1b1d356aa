//! Requests to the service: credentials, and what an error means for a reader. How often is decided by `budget`, when to ask
//! for what by `reader`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::http::HttpResponse;
use aws_sdk_cloudwatchlogs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;

use super::budget::{self, BudgetKey, RateBudget};
use super::options::CloudwatchLogsOptions;

/// How long finding credentials may take: the instance's service is asked last and may not be there.
const CREDENTIALS_LIMIT: Duration = Duration::from_secs(30);

/// The question of a paging run: it stays the same from the first page to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// A group's name, or its ARN.
    pub(super) group: String,
    /// In milliseconds since 1970; both are inclusive.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) token: Option<String>,
}

/// A page of events.
pub(super) struct Page {
    pub(super) events: Vec<FilteredLogEvent>,
    pub(super) token: Option<String>,
}

/// Why the service did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many requests.
    Throttled,
    /// The token is too old, or unknown: the run has to begin anew.
    Token,
    /// A fault of the network or the service that passes.
    Passing(String),
    /// There is no such group.
    NotFound,
    /// Something that only its user can change: permissions, parameters.
    Lasting(String),
}

/// The service, and how often it may be asked.
pub(super) struct Service {
    client: Client,
    filter_pattern: Option<String>,
    budget: Arc<RateBudget>,
}

impl Service {
    /// Finds credentials and prepares the client; sends no request to CloudWatch Logs.
    pub(super) async fn new(options: &CloudwatchLogsOptions) -> Result<Self> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(10))
            .operation_timeout(Duration::from_secs(60))
            .build();
        let region = Region::new(options.region.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region.clone());
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(fixed) = &options.credentials {
            loader = loader.credentials_provider(Credentials::new(
                &fixed.access_key_id,
                &fixed.secret_access_key,
                fixed.session_token.clone(),
                None,
                "the pipeline file",
            ));
        } else {
            let mut chain = DefaultCredentialsChain::builder().region(region);
            if let Some(profile) = &options.profile {
                chain = chain.profile_name(profile);
            }
            loader = loader.credentials_provider(chain.build().await);
        }
        let shared = loader.load().await;
        let mut config = aws_sdk_cloudwatchlogs::config::Builder::from(&shared)
            // Trying again is decided here, with the groups in view.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        let mut provider = shared.credentials_provider().context("no source of AWS credentials was made")?;
        if let Some(role) = &options.role_arn {
            let session = &options.role_session_name;
            let mut role = AssumeRoleProvider::builder(role).session_name(session).configure(&shared);
            if let Some(external_id) = &options.external_id {
                role = role.external_id(external_id);
            }
            provider = SharedCredentialsProvider::new(role.build().await);
            config = config.credentials_provider(provider.clone());
        }
        let credentials = require_credentials(&provider, options).await?;
        if let Some(url) = &options.endpoint_url {
            config = config.endpoint_url(url);
        }
        Ok(Service {
            client: Client::from_conf(config.build()),
            filter_pattern: options.filter_pattern.clone(),
            budget: budget::shared(budget_key(options, &credentials), options.requests_per_second),
        })
    }

    /// One page, once it is the turn of a group with this share.
    pub(super) async fn page(&self, question: &Question, share: f64) -> Result<Page, Refusal> {
        let allowed = self.budget.take(share).await;
        let mut request = self
            .client
            .filter_log_events()
            .start_time(question.start)
            .end_time(question.end)
            .set_filter_pattern(self.filter_pattern.clone())
            .set_next_token(question.token.clone());
        request = match question.group.starts_with("arn:") {
            true => request.log_group_identifier(question.group.trim_end_matches(":*")),
            false => request.log_group_name(&question.group),
        };
        // The service ignores it since 2019; stand-ins for the service sort by time only when they are asked to.
        #[expect(deprecated, reason = "moto and LocalStack know no other way to ask for the service's order")]
        let request = request.interleaved(true);
        match request.send().await {
            Ok(answer) => Ok(Page {
                token: answer.next_token().map(str::to_owned),
                events: answer.events.unwrap_or_default(),
            }),
            Err(error) => Err(refusal(&error, question.token.is_some())),
        }
        .inspect(|_| self.budget.answered())
        .inspect_err(|refusal| self.look_at(refusal, allowed))
    }

    fn look_at(&self, refusal: &Refusal, allowed: Instant) {
        if *refusal == Refusal::Throttled {
            self.budget.throttled(allowed);
        }
    }

    /// The names of all groups that begin so. `asked` is called for every request.
    pub(super) async fn groups(&self, prefix: &str, asked: impl Fn()) -> Result<Vec<String>, Refusal> {
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let allowed = self.budget.take(budget::share(None)).await;
            asked();
            let request =
                self.client.describe_log_groups().log_group_name_prefix(prefix).set_next_token(token);
            let answer = request.send().await.map_err(|error| refusal(&error, false));
            let answer = answer.inspect_err(|refusal| self.look_at(refusal, allowed))?;
            names.extend(
                answer.log_groups().iter().filter_map(|group| group.log_group_name()).map(str::to_owned),
            );
            token = answer.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// Requests a second that the budget allows at present.
    pub(super) fn rate(&self) -> f64 {
        self.budget.rate()
    }
}

/// Whose quota requests count against. The account where it is known (credentials that were got from AWS say it, a role's
/// ARN has it); else what stands for it: a key, a profile, or this process's own credentials.
fn budget_key(options: &CloudwatchLogsOptions, credentials: &Credentials) -> BudgetKey {
    let of_role = options.role_arn.as_deref().and_then(|role| role.split(':').nth(4));
    let account = match (credentials.account_id(), of_role, &options.credentials, &options.profile) {
        (Some(account), ..) => account.as_str().to_owned(),
        (None, Some(account), ..) => account.to_owned(),
        (None, None, Some(fixed), _) => fixed.access_key_id.clone(),
        (None, None, None, Some(profile)) => format!("profile {profile}"),
        (None, None, None, None) => String::new(),
    };
    (options.endpoint_url.clone().unwrap_or_default(), account, options.region.clone())
}

pub(super) async fn require_credentials(
    provider: &SharedCredentialsProvider,
    options: &CloudwatchLogsOptions,
) -> Result<Credentials> {
    let found = tokio::time::timeout(CREDENTIALS_LIMIT, provider.provide_credentials()).await;
    let reason = match found {
        Ok(Ok(credentials)) => return Ok(credentials),
        Ok(Err(error)) => DisplayErrorContext(&error).to_string(),
        Err(_) => format!("nothing answered within {} s", CREDENTIALS_LIMIT.as_secs()),
    };
    let wanted = match (&options.role_arn, &options.profile) {
        (Some(role), _) => format!("for the role {role}"),
        (None, Some(profile)) => format!("in the profile {profile:?}"),
        (None, None) => "in the environment, the shared AWS files, or a role of this machine".to_owned(),
    };
    Err(anyhow!(
        "no AWS credentials were found {wanted}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a `profile` or \
         `role_arn`, or give the machine a role ({reason})"
    ))
}

/// What an error means. Codes are the service's own and those that all AWS services share.
fn refusal<E>(error: &SdkError<E, HttpResponse>, with_token: bool) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let message = || match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    };
    match error.code() {
        Some(
            "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "RequestThrottledException"
            | "SlowDown",
        ) => Refusal::Throttled,
        Some("ResourceNotFoundException") => Refusal::NotFound,
        Some("InvalidParameterException") if with_token => Refusal::Token,
        // Credentials that have run out are renewed by what gave them.
        Some("ExpiredTokenException" | "ExpiredToken" | "RequestExpired") => Refusal::Passing(message()),
        Some(_) if status(error).is_some_and(|status| (400..500).contains(&status) && status != 429) => {
            Refusal::Lasting(message())
        }
        _ if status(error) == Some(429) => Refusal::Throttled,
        _ => Refusal::Passing(message()),
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}
