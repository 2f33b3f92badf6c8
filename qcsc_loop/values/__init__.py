"""Values as documents and back, exactly and without pickle."""
