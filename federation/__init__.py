"""What clients and server share: values, elastic families, the manifold, routing, engines."""
