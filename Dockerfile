# syntax=docker/dockerfile:1

# Node's active LTS line. Slim, as it has glibc, on which Node itself is tested; Alpine's musl is experimental to it.
ARG NODE_IMAGE=node:26-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY tsconfig.json build.ts ./
COPY src src
RUN npm run build

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="onenet-ota-subgraph" \
  org.opencontainers.image.description="GraphQL Federation 2 subgraph that answers Device.otaTask(type) from OneNET's OTA tasking call" \
  org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=4001
WORKDIR /app
COPY package.json schema.graphql ./
# All packages are in the bundle.
COPY --from=build /app/dist dist
# By number, so that Kubernetes can see that it is not root. It owns nothing here, and nothing is written.
USER 1000:1000
EXPOSE 4001
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/livez').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node itself gets the signal to stop, and drains.
CMD ["node", "dist/main.js"]
