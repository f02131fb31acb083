ARG A=3.19
ARG T=${A}
FROM alpine:${T}
