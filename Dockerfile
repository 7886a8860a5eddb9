# The one binary, `hansang`, in two images: one for services and gateway (the last stage, and the default), and
# `--target all-in-one`, with Postgres in it, for `hansang up`. A binary that is there is taken with
# `--build-context binary=FOLDER`, and nothing is compiled.
ARG RUST=rust:1.95-slim-bookworm
# What runs is put on this one: it needs a C library, and no shell.
ARG BASE=debian:bookworm-slim
ARG DEBIAN=debian:bookworm-slim

FROM ${RUST} AS binary
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --locked --release --bin hansang && cp target/release/hansang /hansang

# hadolint ignore=DL3006
FROM ${DEBIAN} AS certificates
# Debian's own versions, which it keeps safe within a release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data

FROM certificates AS all-in-one
# initdb wants to know its user's name.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql \
    && groupadd --gid 10001 hansang \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin hansang
COPY --from=binary /hansang /usr/local/bin/hansang
USER 10001:10001
WORKDIR /data
EXPOSE 8080 50051
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["hansang", "healthcheck"]
ENTRYPOINT ["hansang"]
CMD ["up", "--data-dir=/data/hansang", "--http=0.0.0.0:8080", "--grpc=0.0.0.0:50051"]

# hadolint ignore=DL3006
FROM ${BASE} AS hansang
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A volume that is mounted there is its user's from the start.
COPY --from=certificates --chown=10001:10001 /data /data
COPY --from=binary /hansang /usr/local/bin/hansang
USER 10001:10001
WORKDIR /data
EXPOSE 8080 50051
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["hansang", "healthcheck"]
ENTRYPOINT ["hansang"]
CMD ["--help"]
