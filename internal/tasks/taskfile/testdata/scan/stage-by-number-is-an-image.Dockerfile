FROM alpine:3.19
FROM 0
