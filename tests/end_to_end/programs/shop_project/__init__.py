"""A small project with one backend that is always well; tests copy it to where it is served."""
