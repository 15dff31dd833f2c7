//! `s3s-fs` with what S3 does and it does not: conditional reads, tags in listings, and a policy that lets an account list and
//! read and do nothing else.

use std::path::Path;

use async_trait::async_trait;
use http::{Extensions, HeaderMap, Method, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::Manner;

/// The account's key, which is told in no error and in no log.
pub const ACCESS_KEY_ID: &str = "AKIAKEYOFTESTS000001";
/// Its secret, likewise.
pub const SECRET_ACCESS_KEY: &str = "secret/of+the+tests/000000000000000000001";
/// A bucket that everybody may read.
pub const OPEN_BUCKET: &str = "open";
/// A bucket that nobody may read.
pub const DENIED_BUCKET: &str = "denied";

/// What the policy of a bucket has to allow, and all that is asked for.
const ALLOWED: [&str; 3] = ["GetObject", "HeadObject", "ListObjectsV2"];

pub(super) fn service(directory: &Path, manner: &Manner) -> S3Service {
    let files = FileSystem::new(directory).expect("a directory");
    let mut builder = match manner.ignores_conditions {
        true => S3ServiceBuilder::new(files),
        false => S3ServiceBuilder::new(Conditional(files)),
    };
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
    builder.set_access(ReadOnly);
    builder.build()
}

struct ReadOnly;

#[async_trait]
impl S3Access for ReadOnly {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let path = context.s3_path();
        let bucket = path.as_bucket().or_else(|| path.as_object().map(|(bucket, _)| bucket)).unwrap_or_default();
        let is_known = context.credentials().is_some() || bucket == OPEN_BUCKET;
        match is_known && bucket != DENIED_BUCKET && ALLOWED.contains(&context.s3_op().name()) {
            true => Ok(()),
            false => Err(s3_error!(AccessDenied, "a server's own words: no")),
        }
    }
}

struct Conditional(FileSystem);

#[async_trait]
impl S3 for Conditional {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let condition = request.input.if_match.clone();
        let answer = self.0.get_object(request).await?;
        insist(condition.as_ref(), answer.output.e_tag.as_ref())?;
        Ok(answer)
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let condition = request.input.if_match.clone();
        let answer = self.0.head_object(request).await?;
        insist(condition.as_ref(), answer.output.e_tag.as_ref())?;
        Ok(answer)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let bucket = request.input.bucket.clone();
        let mut answer = self.0.list_objects_v2(request).await?;
        for object in answer.output.contents.iter_mut().flatten() {
            let key = object.key.clone().unwrap_or_default();
            let input = HeadObjectInput { bucket: bucket.clone(), key, ..HeadObjectInput::default() };
            object.e_tag = self.0.head_object(asked(input)).await?.output.e_tag;
        }
        Ok(answer)
    }
}

/// A question of our own to the store beneath.
fn asked<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::HEAD,
        uri: Uri::default(),
        headers: HeaderMap::new(),
        extensions: Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

fn insist(condition: Option<&ETagCondition>, tag: Option<&ETag>) -> S3Result<()> {
    match (condition, tag) {
        (Some(ETagCondition::ETag(wanted)), Some(tag)) if !wanted.strong_cmp(tag) => {
            Err(s3_error!(PreconditionFailed, "a server's own words: changed"))
        }
        _ => Ok(()),
    }
}
