FROM golang:1.22 AS build
FROM alpine:3.19
COPY --from=build /a /a
COPY --from=0 /a /b
COPY --from=contoso/tools:1 /t /t
RUN --mount=from=contoso/sdk:2,target=/s --mount=type=bind,target=/x true
COPY --from=alpine:3.19 /etc/passwd /
