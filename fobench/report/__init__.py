"""From the long frame to a document; never touches hardware."""
