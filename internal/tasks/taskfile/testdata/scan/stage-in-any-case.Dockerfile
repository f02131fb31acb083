FROM golang:1.22 as Builder
FROM builder
COPY --from=BUILDER /a /b
