# Builds the release binary, without the sandbox, and runs it as a user of its own.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 rijan
COPY --from=build /source/target/release/rijan /usr/local/bin/rijan
USER rijan
WORKDIR /home/rijan
ENV HOST=0.0.0.0 PORT=3000 DATABASE_PATH=/home/rijan/data/rijan.db
VOLUME /home/rijan/data
EXPOSE 3000
ENTRYPOINT ["rijan"]
CMD ["serve"]
