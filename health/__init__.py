"""Health endpoints for Django that Kubernetes and load balancers can trust."""
