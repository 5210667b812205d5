"""What is unusual about spend: detectors over ten-minute slots, episodes, and who made the excess."""
