FROM base
COPY --from=files /a /b
